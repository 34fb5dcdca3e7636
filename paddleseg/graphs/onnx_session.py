"""Open ONNX files with onnxruntime."""

import os

from paddleseg.errors import UserError, one_line


def open_session(path, on_gpu=False, threads=None):
    """Return the `onnxruntime.InferenceSession` of a file.

    Args:
        path: the file.
        on_gpu: use onnxruntime's CUDA kernels if it has them. Default False.
        threads: how many it computes with. Default: OMP_NUM_THREADS if that is set, else one a core.

    Raises:
        UserError: onnxruntime is not installed, or cannot load the file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path}: onnxruntime is not installed: pip install onnxruntime") from None

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; warnings are about constants that the converter left over
    # An arena would keep the memory of the largest run, which a student's training may need.
    options.enable_cpu_mem_arena = False
    options.intra_op_num_threads = _default_threads() if threads is None else threads
    wanted = ["CUDAExecutionProvider"] if on_gpu else []
    available = onnxruntime.get_available_providers()
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in available]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no common class
        raise UserError(f"{path} cannot be loaded by onnxruntime: {one_line(error)}") from error


def _default_threads():
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdigit() else 0  # 0: every core

"""ONNX files under onnxruntime."""

import os

from paddleseg.errors import UserError, one_line


def open_session(path, on_gpu=False):
    """Return the `onnxruntime.InferenceSession` of a file, on as many threads as OMP_NUM_THREADS says.

    Args:
        path: the file.
        on_gpu: take onnxruntime's CUDA kernels, if it has them.

    Raises:
        UserError: onnxruntime is not installed, or cannot load the file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path}: onnxruntime is not installed: pip install onnxruntime") from None

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # below errors it remarks on constants that the converter left over
    # An arena would keep the memory of the largest run while others, such as a student's training, need it.
    options.enable_cpu_mem_arena = False
    threads = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = int(threads) if threads.isdigit() else 0  # of 0 it takes every core
    wanted = ["CUDAExecutionProvider"] if on_gpu else []
    known = onnxruntime.get_available_providers()
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in known]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # each of its errors is of a class of its own, derived from nothing else
        raise UserError(f"{path} cannot be loaded by onnxruntime: {one_line(error)}") from error

"""What runs an exported model: Paddle Inference or onnxruntime."""

import hashlib
import os
import platform
import warnings
from pathlib import Path

from errors import UserError, one_line


def open_model(deploy, folder, args):
    """Return the function, float32 N x C x H x W to the graph's output, of an exported model."""
    # Without its file of weights Paddle would compute with whatever it finds in memory.
    paths = [os.path.join(folder, deploy[key]) for key in ("model", "params") if deploy.get(key)]
    for path, key in zip(paths, ("model", "params")):
        if not os.path.isfile(path):
            raise UserError(f"there is no file {path}, which the deploy.yaml names")
        # Paddle computes with weights that are cut off, and gets other masks.
        told = deploy.get("sha256", {}).get(key)
        if told is not None and sha256(path) != told:
            raise UserError(
                f"{path} is not the file that was exported; is it cut off? Copy it again, or, if it was "
                f"changed on purpose, take `sha256` out of the deploy.yaml"
            )
    try:
        return open_onnx(paths[0], args) if paths[0].endswith(".onnx") else open_paddle(*paths, args)
    except UserError:
        raise
    except ImportError as error:
        wanted = "onnxruntime" if paths[0].endswith(".onnx") else "paddlepaddle"
        raise UserError(f"{paths[0]} needs {wanted}, which is not installed here ({error})") from error
    except Exception as error:  # both libraries have classes of their own
        raise UserError(f"{paths[0]} cannot be loaded; is it cut off? {one_line(error)}") from error


def sha256(path):
    """Return the SHA-256 of a file, in hexadecimal digits."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def open_onnx(path, args):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # below errors it remarks on constants that the converter left over
    options.intra_op_num_threads = args.cpu_threads
    wanted = "CUDAExecutionProvider" if args.device == "gpu" else "CPUExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise UserError("--device gpu: this onnxruntime is built without; install onnxruntime-gpu")
    session = onnxruntime.InferenceSession(path, options, providers=[wanted])
    if wanted not in session.get_providers():  # it would compute on the CPU instead
        raise UserError("--device gpu: onnxruntime finds no GPU that it can use; leave --device gpu out")
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def open_paddle(path, params, args):
    if slow_in_mkl() and os.environ.get("PADDLESEG_TUNE") != "0":
        # It is read as Paddle is imported.
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    # What Paddle remarks at its start asks nothing of the user.
    os.environ.setdefault("GLOG_minloglevel", "2")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"paddle\.")
    import paddle
    from paddle import inference

    if args.device == "gpu":
        if not paddle.is_compiled_with_cuda():
            raise UserError("--device gpu: this Paddle is built without; install paddlepaddle-gpu")
        if not paddle.device.cuda.device_count():
            raise UserError("--device gpu: Paddle finds no GPU here; leave --device gpu out")
    config = inference.Config(path, params)
    config.disable_glog_info()
    if args.device == "gpu":
        config.enable_use_gpu(256, 0)
    elif hasattr(config, "disable_mkldnn"):
        # With oneDNN, Paddle 3's executor fails on the interpolation that every model here ends with.
        config.disable_mkldnn()
    if args.cpu_threads:
        config.set_cpu_math_library_num_threads(args.cpu_threads)
    predictor = inference.create_predictor(config)
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    target = predictor.get_output_handle(predictor.get_output_names()[0])

    def run(batch):
        source.reshape(batch.shape)
        source.copy_from_cpu(batch)
        predictor.run()
        return target.copy_to_cpu()

    return run


def slow_in_mkl(cpuinfo="/proc/cpuinfo"):
    """Tell whether the MKL in Paddle would leave the processor's AVX2 alone, Intel not being its maker.

    As the training code's `paddleseg.utils.cpu.slow_in_mkl` does, which is not to be had here.
    """
    try:
        lines = Path(cpuinfo).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    told = {}
    for name, value in (line.split(":", 1) for line in lines if ":" in line):
        told.setdefault(name.strip(), value.strip())  # of the first core
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    foreign = told.get("vendor_id", "GenuineIntel") != "GenuineIntel"
    return x86 and foreign and "avx2" in told.get("flags", "").split()

"""Run an exported model with Paddle Inference or onnxruntime."""

import hashlib
import os
import platform
import warnings
from pathlib import Path

import numpy as np
from errors import UserError, one_line
from providers import open_session

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_IMAGES = "x"  # the name of the input in the files of export.py and of PaddleSeg


def open_model(deploy, folder, args):
    """Return a function from float32 N x C x H x W to an exported model's output."""
    # Without a file of weights, Paddle would compute with arbitrary values in memory.
    paths = [os.path.join(folder, deploy[key]) for key in ("model", "params") if deploy.get(key)]
    for path, key in zip(paths, ("model", "params")):
        if not os.path.isfile(path):
            raise UserError(f"there is no file {path}, which the deploy.yaml names")
        # Paddle loads truncated weights without an error and makes wrong masks.
        digest = deploy.get("sha256", {}).get(key)
        if digest is not None and sha256(path) != digest:
            raise UserError(
                f"{path} is not the file that was exported; is it cut off? Copy it again, or, if it was "
                f"changed on purpose, delete `sha256` from the deploy.yaml"
            )
    try:
        return _open(paths, deploy, args)
    except UserError:
        raise
    except ImportError as error:
        library = "onnxruntime" if paths[0].endswith(".onnx") else "paddlepaddle"
        raise UserError(f"{paths[0]} needs {library}, which is not installed here ({error})") from error
    except Exception as error:  # both libraries have their own classes
        raise UserError(f"{paths[0]} cannot be loaded; is it cut off? {one_line(error)}") from error


def _open(paths, deploy, args):
    if paths[0].endswith(".onnx"):
        return open_onnx(paths[0], args, deploy)
    if args.providers:
        raise UserError(f"--providers are onnxruntime's, and Paddle computes {paths[0]}; give --device")
    return open_paddle(*paths, args)


def sha256(path):
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def open_onnx(path, args, deploy):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; warnings are about constants that the converter left over
    options.intra_op_num_threads = args.cpu_threads
    session = open_session(path, options, args, deploy.get("precision"))
    images, target = _image_input(path, session.get_inputs()), session.get_outputs()[0]
    _check_output(path, target, deploy.get("num_classes"))
    name, dtype = images.name, _TYPES[images.type]

    def run(batch):
        output = session.run([target.name], {name: batch.astype(dtype, copy=False)})[0]
        # OpenCV does not resize float16.
        return output.astype(np.float32) if output.dtype == np.float16 else output

    return run


def _image_input(path, inputs):
    """Return the only input of an ONNX file; refuse inputs that export.py does not write."""
    if len(inputs) != 1 or inputs[0].type not in _TYPES:
        given = ", ".join(f"{one.name}: {one.type}" for one in inputs)
        raise UserError(f"{path} takes {given or 'nothing'}; a segmentation model takes one image of floats")
    images = inputs[0]
    if images.name != _IMAGES:
        raise UserError(
            f"{path} takes {images.name!r}, but the models of export.py and of PaddleSeg take {_IMAGES!r}; "
            f"give a model of theirs, or rename the input if it takes images"
        )
    if len(images.shape) != 4:
        size = " x ".join(map(str, images.shape))
        raise UserError(f"{path} takes {images.name} of {size}; a segmentation model takes N x C x H x W")
    return images


def _check_output(path, target, num_classes):
    """Refuse an output of an ONNX file that is no tensor, or that scores other classes than are stated."""
    if not target.type.startswith("tensor("):
        raise UserError(f"{path} gives {target.name}: {target.type}; a segmentation model gives one tensor")
    if len(target.shape) == 4 and target.type not in _TYPES:
        raise UserError(
            f"{path} gives {target.name}: {target.type} of N x C x H x W; scores of classes are floats, and "
            f"classes are N x H x W"
        )
    scored = target.shape[1] if len(target.shape) == 4 else None  # a text if the file leaves it open
    if isinstance(scored, int) and isinstance(num_classes, int) and scored != num_classes:
        raise UserError(f"{path} scores {scored} classes, but the deploy.yaml states {num_classes}")


def open_paddle(path, params, args):
    if slow_in_mkl() and os.environ.get("PADDLESEG_TUNE") != "0":
        # MKL reads this when Paddle is imported.
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    # Paddle's messages at its start are of no use to the user.
    os.environ.setdefault("GLOG_minloglevel", "2")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"paddle\.")
    import paddle
    from paddle import inference

    if args.device == "gpu":
        if not paddle.is_compiled_with_cuda():
            raise UserError("--device gpu: this Paddle has no GPU support; install paddlepaddle-gpu")
        if not paddle.device.cuda.device_count():
            raise UserError("--device gpu: Paddle finds no GPU here; leave --device gpu out")
    config = inference.Config(path, params)
    config.disable_glog_info()
    if args.device == "gpu":
        config.enable_use_gpu(256, 0)
    elif hasattr(config, "disable_mkldnn"):
        # With oneDNN, Paddle 3 fails on the interpolation at the end of every model of this project.
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
    """Tell whether Paddle's MKL would not use the AVX2 of this processor, since its maker is not Intel.

    The training code has the same rule in `paddleseg.utils.cpu.slow_in_mkl`, which cannot be imported here.
    """
    try:
        lines = Path(cpuinfo).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    # Reversed, so that the first core's values are left.
    pairs = (line.split(":", 1) for line in reversed(lines) if ":" in line)
    values = {name.strip(): value.strip() for name, value in pairs}
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    intel = values.get("vendor_id", "GenuineIntel") == "GenuineIntel"
    return x86 and not intel and "avx2" in values.get("flags", "").split()

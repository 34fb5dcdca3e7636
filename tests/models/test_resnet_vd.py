import inspect

import numpy as np
import paddle
import pytest
from refusal import refusal

from paddleseg.models import backbones
from paddleseg.models.backbones import ResNet18_vd, ResNet50_vd

# Of the released PaddleSeg 2.8.0: numbers that are trained, and entries of the state.
SIZES = {
    "ResNet18_vd": (11_199_968, 115),
    "ResNet34_vd": (21_308_128, 195),
    "ResNet50_vd": (23_527_264, 275),
    "ResNet101_vd": (42_519_392, 530),
    "ResNet152_vd": (58_163_040, 785),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_and_channels(name):
    # Sizes need no values.
    with paddle.LazyGuard():
        backbone = getattr(backbones, name)()
    trained = sum(int(np.prod(p.shape)) for p in backbone.parameters() if not p.stop_gradient)
    assert (trained, len(backbone.state_dict())) == SIZES[name]
    expansion = 1 if name in ("ResNet18_vd", "ResNet34_vd") else 4
    assert backbone.feat_channels == [expansion * c for c in (64, 128, 256, 512)]


@pytest.mark.parametrize(
    ("backbone", "output_stride", "sizes"),
    [
        (ResNet18_vd, 8, [(16, 12), (8, 6), (8, 6), (8, 6)]),
        (ResNet18_vd, 16, [(16, 12), (8, 6), (4, 3), (4, 3)]),
        (ResNet50_vd, 16, [(16, 12), (8, 6), (4, 3), (4, 3)]),
        (ResNet18_vd, 32, [(16, 12), (8, 6), (4, 3), (2, 2)]),
    ],
)
def test_maps_of_the_four_stages(backbone, output_stride, sizes):
    model = backbone(output_stride=output_stride)
    model.eval()
    maps = model(paddle.zeros([2, 3, 64, 48]))
    shapes = [[2, c, *size] for c, size in zip(model.feat_channels, sizes)]
    assert [list(m.shape) for m in maps] == shapes


def dilations(model, stage):
    """Return the dilation and stride of each block's strided, dilated convolution."""
    blocks = [layer for name, layer in model.named_children() if name.startswith(f"bb_{stage}_")]
    index = 1 if model.bottleneck else 0
    convs = [getattr(block, f"conv{index}")._conv for block in blocks]
    return [(conv._dilation[0], conv._stride[0]) for conv in convs]


@pytest.mark.parametrize(
    ("output_stride", "third", "fourth"),
    [
        (8, [(2, 1)] * 6, [(4, 1), (8, 1), (16, 1)]),
        (16, [(1, 2)] + [(1, 1)] * 5, [(2, 1), (4, 1), (8, 1)]),
    ],
)
def test_what_is_no_longer_strided_is_dilated(output_stride, third, fourth):
    with paddle.LazyGuard():
        model = ResNet50_vd(output_stride=output_stride, multi_grid=(1, 2, 4))
    assert dilations(model, 1) == [(1, 2), (1, 1), (1, 1), (1, 1)]
    assert dilations(model, 2) == third
    assert dilations(model, 3) == fourth


def test_the_first_factors_of_multi_grid_count():
    with paddle.LazyGuard():
        model = ResNet18_vd(multi_grid=[1, 2, 4])
    assert dilations(model, 3) == [(4, 1), (8, 1)]


def test_grey_images():
    model = ResNet18_vd(in_channels=1)
    assert list(model(paddle.zeros([1, 1, 32, 32]))[0].shape) == [1, 64, 8, 8]


def test_arguments_by_position_are_paddlesegs():
    assert list(inspect.signature(ResNet50_vd).parameters)[:3] == [
        "output_stride",
        "multi_grid",
        "pretrained",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"output_stride": 4}, "output_stride must be 8, 16 or 32, not 4"),
        (
            {"multi_grid": [1]},
            "multi_grid needs a factor for each of the 3 blocks of the last stage of ResNet50_vd, [1] has 1",
        ),
        ({"multi_grid": [1, 0, 1]}, "multi_grid must hold whole numbers above 0, not [1, 0, 1]"),
        ({"pretrained": "no/such/file"}, "no file of weights at no/such/file"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, told, capsys):
    assert refusal(capsys, lambda: ResNet50_vd(**arguments)) == told


def test_pretrained_weights_without_their_classifier(tmp_path):
    path = str(tmp_path / "resnet18.pdparams")
    given = ResNet18_vd()
    classifier = {"fc.weight": paddle.ones([512, 1000]), "fc.bias": paddle.zeros([1000])}
    paddle.save({**given.state_dict(), **classifier}, path)
    loaded = ResNet18_vd(pretrained=path).state_dict()
    for key, value in given.state_dict().items():
        np.testing.assert_array_equal(loaded[key].numpy(), value.numpy())


def test_pretrained_weights_of_another_depth_are_refused(tmp_path, capsys):
    path = str(tmp_path / "resnet18.pdparams")
    paddle.save(ResNet18_vd().state_dict(), path)
    message = refusal(capsys, lambda: backbones.ResNet34_vd(pretrained=path))
    assert message.startswith(
        f"the weights in {path} are not those of ResNet34_vd: missing keys: bb_0_2.conv0."
    )
    assert "and 72 more" in message

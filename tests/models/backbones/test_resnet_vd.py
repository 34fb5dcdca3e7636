import inspect

import numpy as np
import paddle
import pytest
from backbone_tests import BackboneTests

from paddleseg.models import backbones
from paddleseg.models.backbones import ResNet18_vd, ResNet34_vd, ResNet50_vd

BASIC, BOTTLENECK = (64, 128, 256, 512), (256, 512, 1024, 2048)
STRIDES = {8: (4, 8, 8, 8), 16: (4, 8, 16, 16), 32: (4, 8, 16, 32)}
# Of the released PaddleSeg 2.8.0: numbers that are trained, and entries of the state.
SIZES = {
    "ResNet18_vd": (11_199_968, 115),
    "ResNet34_vd": (21_308_128, 195),
    "ResNet50_vd": (23_527_264, 275),
    "ResNet101_vd": (42_519_392, 530),
    "ResNet152_vd": (58_163_040, 785),
}


class TestResNet(BackboneTests):
    smallest = ResNet18_vd
    other = ResNet34_vd
    misfit = r"missing keys: bb_0_2\.conv0\..* and 72 more"
    maps = {"ResNet18_vd": (BASIC, STRIDES[8]), "ResNet50_vd": (BOTTLENECK, STRIDES[8])}
    classifier = ("fc.weight", "fc.bias")
    refused = [
        ({"output_stride": 4}, "output_stride must be 8, 16 or 32, not 4"),
        (
            {"multi_grid": [1]},
            "multi_grid needs a factor for each of the 2 blocks of the last stage of ResNet18_vd, [1] has 1",
        ),
        ({"multi_grid": [1, 0, 1]}, "multi_grid must hold whole numbers above 0, not [1, 0, 1]"),
    ]

    def test_its_number_of_layers_is_that_of_its_name(self):
        assert [network().layers for network in (ResNet18_vd, ResNet34_vd, ResNet50_vd)] == [18, 34, 50]

    @pytest.mark.parametrize("output_stride", [16, 32])
    def test_maps_at_other_output_strides(self, output_stride):
        self.check_maps(ResNet18_vd(output_stride), BASIC, STRIDES[output_stride], (64, 48))

    def test_maps_of_bottlenecks_at_another_output_stride(self):
        self.check_maps(ResNet50_vd(16), BOTTLENECK, STRIDES[16], (64, 48))

    @pytest.mark.parametrize("name", SIZES)
    def test_sizes_and_channels(self, name):
        with paddle.LazyGuard():  # sizes need no values
            backbone = getattr(backbones, name)()
        trained = sum(int(np.prod(p.shape)) for p in backbone.parameters() if not p.stop_gradient)
        assert (trained, len(backbone.state_dict())) == SIZES[name]
        assert tuple(backbone.feat_channels) == (BASIC if name in list(SIZES)[:2] else BOTTLENECK)

    def test_arguments_by_position_are_paddlesegs(self):
        names = list(inspect.signature(ResNet50_vd).parameters)
        assert names[:3] == ["output_stride", "multi_grid", "pretrained"]


def dilations(model, stage):
    """Return the dilation and stride of each block's strided, dilated convolution."""
    blocks = [layer for name, layer in model.named_children() if name.startswith(f"bb_{stage}_")]
    index = 1 if model.bottleneck else 0
    convs = [getattr(block, f"conv{index}")._conv for block in blocks]
    return [(conv._dilation[0], conv._stride[0]) for conv in convs]


@pytest.mark.parametrize(
    ("output_stride", "third", "fourth"),
    [(8, [(2, 1)] * 6, [(4, 1), (8, 1), (16, 1)]), (16, [(1, 2)] + [(1, 1)] * 5, [(2, 1), (4, 1), (8, 1)])],
)
def test_dilation_replaces_strides(output_stride, third, fourth):
    with paddle.LazyGuard():
        model = ResNet50_vd(output_stride=output_stride, multi_grid=(1, 2, 4))
    assert dilations(model, 1) == [(1, 2), (1, 1), (1, 1), (1, 1)]
    assert dilations(model, 2) == third
    assert dilations(model, 3) == fourth


def test_further_factors_of_multi_grid_are_not_used():
    with paddle.LazyGuard():
        model = ResNet18_vd(multi_grid=[1, 2, 4])
    assert dilations(model, 3) == [(4, 1), (8, 1)]

import inspect

import numpy as np
import paddle
import pytest
from backbone_tests import BackboneTests

from paddleseg.models import backbones
from paddleseg.models.backbones import HRNet_W18_Small_V1, HRNet_W18_Small_V2

# Of the released PaddleSeg 2.8.0: channels, numbers that are trained, and entries of the state.
SIZES = {
    "HRNet_W18_Small_V1": (240, 1_477_920, 355),
    "HRNet_W18_Small_V2": (270, 3_860_720, 720),
    "HRNet_W18": (270, 9_562_260, 1525),
    "HRNet_W30": (450, 25_812_276, 1525),
    "HRNet_W32": (480, 29_305_536, 1525),
    "HRNet_W40": (600, 45_521_216, 1525),
    "HRNet_W44": (660, 54_974_640, 1525),
    "HRNet_W48": (720, 65_325_120, 1525),
    "HRNet_W60": (900, 101_758_896, 1525),
    "HRNet_W64": (960, 115_697_600, 1525),
}


class TestHRNet(BackboneTests):
    smallest = HRNet_W18_Small_V1
    other = HRNet_W18_Small_V2
    misfit = "keys: "
    maps = {"HRNet_W18_Small_V1": ((240,), (4,)), "HRNet_W18_Small_V2": ((270,), (4,))}
    classifier = (
        "last_cls.func_list.0.conv1._conv.weight",
        "conv_last._conv.weight",
        "out.weight",
        "out.bias",
    )

    @pytest.mark.parametrize("name", SIZES)
    def test_sizes_and_channels(self, name):
        with paddle.LazyGuard():  # sizes need no values
            backbone = getattr(backbones, name)()
        trained = sum(int(np.prod(p.shape)) for p in backbone.parameters() if not p.stop_gradient)
        assert (*backbone.feat_channels, trained, len(backbone.state_dict())) == SIZES[name]

    def test_takes_what_paddlesegs_takes(self):
        names = list(inspect.signature(HRNet_W18_Small_V1).parameters)
        assert names == ["in_channels", "pretrained", "has_se", "align_corners", "padding_same", "use_psa"]

    @pytest.mark.parametrize("options", [{}, {"use_psa": True}])
    def test_begins_with_small_kernels(self, options):
        for key, p in HRNet_W18_Small_V1(**options).named_parameters():
            if p.ndim == 4:
                # Ten standard errors of the standard deviation of as many normal numbers.
                assert float(p.std()) == pytest.approx(0.001, abs=10 * 0.001 / np.sqrt(2 * p.size)), key

    @pytest.mark.parametrize("option", ["has_se", "use_psa"])
    def test_a_gradient_reaches_every_trained_parameter(self, option):
        model = HRNet_W18_Small_V1(**{option: True})
        paddle.seed(3)
        model(paddle.randn([2, 3, 64, 96]))[0].square().sum().backward()
        missing = [k for k, p in model.named_parameters() if not p.stop_gradient and p.grad is None]
        assert missing == []

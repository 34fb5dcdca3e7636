import numpy as np
import paddle
import pytest
from backbone_tests import BackboneTests

from paddleseg.models.backbones import STDC1, STDC2

MAPS = ((32, 64, 256, 512, 1024), (2, 4, 8, 16, 32))


class TestSTDCNet(BackboneTests):
    smallest = STDC1
    other = STDC2
    misfit = "keys: "
    maps = {"STDC1": MAPS, "STDC2": MAPS}
    classifier = ("conv_last.conv.weight", "fc.weight", "bn._mean", "linear.weight")
    refused = [
        ({"block_num": 1}, "block_num must be 2 or above, not 1"),
        ({"relative_lr": -1.0}, "relative_lr must be 0 or above, not -1.0"),
    ]

    def test_begins_with_small_kernels_and_its_own_learning_rate(self):
        for key, p in STDC1(relative_lr=10.0).named_parameters():
            if p.ndim == 4:
                # Ten standard errors of the standard deviation of as many normal numbers.
                error = 10 * 0.001 / np.sqrt(2 * p.size)
                assert float(p.std()) == pytest.approx(0.001, abs=error), key
            if not p.stop_gradient:
                assert p.optimize_attr["learning_rate"] == 10.0, key

    @pytest.mark.parametrize("block_num", [2, 3, 4, 5])
    def test_blocks_have_as_many_channels_for_any_number_of_convolutions(self, block_num):
        maps = STDC1(block_num=block_num)(paddle.zeros([1, 3, 64, 64]))
        assert tuple(x.shape[1] for x in maps) == MAPS[0]

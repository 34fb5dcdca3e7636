import numpy as np
import paddle
import tiny
from architecture_tests import ArchitectureTests, Trunk, check_export
from refusal import refusal

from paddleseg.models import OCRNet
from paddleseg.models.ocrnet import region_means


class TestOCRNet(ArchitectureTests):
    architecture = OCRNet
    options = {"backbone_indices": (-1,), "ocr_mid_channels": 8, "ocr_key_channels": 4}
    outputs = (2, 1)
    stages = "one or two"
    wrong_indices = [(), (5,), (0, 1, 2)]
    refused = [
        ({"ocr_mid_channels": 0}, "ocr_mid_channels must be a whole number above 0, not 0"),
        ({"ocr_key_channels": 0}, "ocr_key_channels must be a whole number above 0, not 0"),
    ]


class SameSize(Trunk):
    """A backbone of five maps, all at stride 2, as a dilated one might give."""

    def forward(self, x):
        maps = super(SameSize, self).forward(x)  # Paddle 2 cannot trace super() without arguments
        return [paddle.nn.functional.interpolate(one, maps[0].shape[2:]) for one in maps]


class TestOCRNetOfTwoMaps(TestOCRNet):
    backbone = SameSize
    options = {**TestOCRNet.options, "backbone_indices": (2, 4)}

    def test_the_first_map_is_for_the_coarse_logits(self):
        model = self.build()
        assert model.head.aux_head[0]._conv.weight.shape[1] == Trunk.feat_channels[2]
        assert model.head.conv3x3_ocr._conv.weight.shape[1] == Trunk.feat_channels[4]


def test_maps_of_different_sizes_are_refused(capsys):
    model = OCRNet(2, Trunk(), [2, 3])
    message = refusal(capsys, lambda: model(paddle.zeros([2, 3, 64, 64])))
    assert message == "backbone_indices [2, 3] must name maps of the same size, not of [8, 8] and [4, 4]"


def test_region_means_are_weighted_by_the_softmax_over_pixels():
    rng = np.random.default_rng(3)
    pixels, logits = rng.normal(size=(2, 5, 3, 4)), rng.normal(size=(2, 6, 3, 4))
    weights = np.exp(logits)
    weights /= weights.sum(axis=(2, 3), keepdims=True)
    expected = np.einsum("nchw,nkhw->nck", pixels, weights)[..., None]
    actual = region_means(paddle.to_tensor(pixels), paddle.to_tensor(logits))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-12)


def test_an_exported_graph_on_its_own_backbone(tmp_path):
    check_export(OCRNet(2, tiny.SmallHRNet(has_se=True, use_psa=True), [0], 8, 4), tmp_path)

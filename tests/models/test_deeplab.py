import paddle
from architecture_tests import ArchitectureTests

from paddleseg.models import DeepLabV3, DeepLabV3P

REFUSED = [
    ({"aspp_ratios": (1, 0)}, "aspp_ratios must hold whole numbers above 0, not [1, 0]"),
    ({"aspp_out_channels": 0}, "aspp_out_channels must be a whole number above 0, not 0"),
    ({"aspp_out_channels": -1}, "aspp_out_channels must be a whole number above 0, not -1"),
]


class TestDeepLabV3(ArchitectureTests):
    architecture = DeepLabV3
    options = {"backbone_indices": (4,), "aspp_out_channels": 8}
    stages = "one"
    wrong_indices = [(5,), (0, 1)]
    refused = REFUSED


class TestDeepLabV3P(ArchitectureTests):
    architecture = DeepLabV3P
    options = {"backbone_indices": (1, 4), "aspp_out_channels": 8}
    stages = "two"
    wrong_indices = [(-6, 1), (1,)]
    refused = REFUSED

    def test_negative_indices_count_from_the_end(self):
        paddle.seed(3)
        x = paddle.randn([1, 3, 32, 32])
        model, same = self.build(), self.build(backbone_indices=(-4, -1))
        model.eval()
        same.eval()
        assert (same(x)[0].numpy() == model(x)[0].numpy()).all()

    def test_no_ratio_leaves_the_images_mean(self):
        assert list(self.build(aspp_ratios=[])(paddle.zeros([2, 3, 16, 16]))[0].shape) == [2, 3, 16, 16]

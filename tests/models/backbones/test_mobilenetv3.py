from backbone_tests import BackboneTests

from paddleseg.models.backbones import MobileNetV3_large_x0_35, MobileNetV3_small_x0_35

STRIDES, OS8 = (4, 8, 16, 32), (4, 8, 8, 8)


class TestMobileNetV3(BackboneTests):
    smallest = MobileNetV3_small_x0_35
    other = MobileNetV3_large_x0_35
    misfit = "keys: "
    # The channels of the paper, rounded as PaddleSeg does.
    maps = {
        "MobileNetV3_small_x0_35": ((8, 8, 16, 32), STRIDES),
        "MobileNetV3_small_x0_5": ((8, 16, 24, 48), STRIDES),
        "MobileNetV3_small_x0_75": ((16, 24, 40, 72), STRIDES),
        "MobileNetV3_small_x1_0": ((16, 24, 48, 96), STRIDES),
        "MobileNetV3_small_x1_0_os8": ((16, 24, 48, 96), OS8),
        "MobileNetV3_small_x1_25": ((24, 32, 64, 120), STRIDES),
        "MobileNetV3_large_x0_35": ((8, 16, 40, 56), STRIDES),
        "MobileNetV3_large_x0_5": ((16, 24, 56, 80), STRIDES),
        "MobileNetV3_large_x0_75": ((24, 32, 88, 120), STRIDES),
        "MobileNetV3_large_x1_0": ((24, 40, 112, 160), STRIDES),
        "MobileNetV3_large_x1_0_os8": ((24, 40, 112, 160), OS8),
        "MobileNetV3_large_x1_25": ((32, 48, 144, 200), STRIDES),
    }
    classifier = ("last_second_conv.conv.weight", "last_conv.weight", "fc.weight", "fc.bias")

    def test_does_not_decay_its_norms(self):
        decays = {
            key: getattr(p.regularizer, "_coeff", None)
            for key, p in self.smallest().named_parameters()
            if not p.stop_gradient
        }
        assert {decays[key] for key in decays if ".bn." in key} == {0.0}
        assert {decays[key] for key in decays if ".bn." not in key} == {None}

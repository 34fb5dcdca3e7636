from backbone_tests import BackboneTests

from paddleseg.models.backbones import MobileNetV2_x0_5, MobileNetV2_x0_25

STRIDES = (4, 8, 16, 32)


class TestMobileNetV2(BackboneTests):
    smallest = MobileNetV2_x0_25
    other = MobileNetV2_x0_5
    misfit = "they look like another .*wrongly shaped keys: conv1"
    maps = {
        "MobileNetV2_x0_25": ((6, 8, 24, 80), STRIDES),
        "MobileNetV2_x0_5": ((12, 16, 48, 160), STRIDES),
        "MobileNetV2_x0_75": ((18, 24, 72, 240), STRIDES),
        "MobileNetV2_x1_0": ((24, 32, 96, 320), STRIDES),
        "MobileNetV2_x1_5": ((36, 48, 144, 480), STRIDES),
        "MobileNetV2_x2_0": ((48, 64, 192, 640), STRIDES),
    }
    classifier = ("conv9._conv.weight", "conv9._batch_norm._mean", "out.weight", "out.bias")

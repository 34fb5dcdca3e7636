"""Feature extractors: `forward` returns a list of feature maps, `feat_channels` their channels."""

from paddleseg.cvlibs import manager
from paddleseg.models.backbones.hrnet import (
    HRNet_W18,
    HRNet_W18_Small_V1,
    HRNet_W18_Small_V2,
    HRNet_W30,
    HRNet_W32,
    HRNet_W40,
    HRNet_W44,
    HRNet_W48,
    HRNet_W60,
    HRNet_W64,
)
from paddleseg.models.backbones.mix_transformer import (
    MixVisionTransformer_B0,
    MixVisionTransformer_B1,
    MixVisionTransformer_B2,
    MixVisionTransformer_B3,
    MixVisionTransformer_B4,
    MixVisionTransformer_B5,
)
from paddleseg.models.backbones.mobilenetv2 import (
    MobileNetV2_x0_5,
    MobileNetV2_x0_25,
    MobileNetV2_x0_75,
    MobileNetV2_x1_0,
    MobileNetV2_x1_5,
    MobileNetV2_x2_0,
)
from paddleseg.models.backbones.mobilenetv3 import (
    MobileNetV3_large_x0_5,
    MobileNetV3_large_x0_35,
    MobileNetV3_large_x0_75,
    MobileNetV3_large_x1_0,
    MobileNetV3_large_x1_0_os8,
    MobileNetV3_large_x1_25,
    MobileNetV3_small_x0_5,
    MobileNetV3_small_x0_35,
    MobileNetV3_small_x0_75,
    MobileNetV3_small_x1_0,
    MobileNetV3_small_x1_0_os8,
    MobileNetV3_small_x1_25,
)
from paddleseg.models.backbones.resnet_vd import (
    ResNet18_vd,
    ResNet34_vd,
    ResNet50_vd,
    ResNet101_vd,
    ResNet152_vd,
)
from paddleseg.models.backbones.stdcnet import STDC1, STDC2

__all__ = [
    "HRNet_W18_Small_V1",
    "HRNet_W18_Small_V2",
    "HRNet_W18",
    "HRNet_W30",
    "HRNet_W32",
    "HRNet_W40",
    "HRNet_W44",
    "HRNet_W48",
    "HRNet_W60",
    "HRNet_W64",
    "MixVisionTransformer_B0",
    "MixVisionTransformer_B1",
    "MixVisionTransformer_B2",
    "MixVisionTransformer_B3",
    "MixVisionTransformer_B4",
    "MixVisionTransformer_B5",
    "MobileNetV2_x0_25",
    "MobileNetV2_x0_5",
    "MobileNetV2_x0_75",
    "MobileNetV2_x1_0",
    "MobileNetV2_x1_5",
    "MobileNetV2_x2_0",
    "MobileNetV3_large_x0_35",
    "MobileNetV3_large_x0_5",
    "MobileNetV3_large_x0_75",
    "MobileNetV3_large_x1_0",
    "MobileNetV3_large_x1_0_os8",
    "MobileNetV3_large_x1_25",
    "MobileNetV3_small_x0_35",
    "MobileNetV3_small_x0_5",
    "MobileNetV3_small_x0_75",
    "MobileNetV3_small_x1_0",
    "MobileNetV3_small_x1_0_os8",
    "MobileNetV3_small_x1_25",
    "ResNet101_vd",
    "ResNet152_vd",
    "ResNet18_vd",
    "ResNet34_vd",
    "ResNet50_vd",
    "STDC1",
    "STDC2",
]

# Other backbones are PaddleSeg's own, where PADDLESEG_PATH names its files.
__getattr__ = manager.getattr_of_files(__name__, manager.BACKBONES)

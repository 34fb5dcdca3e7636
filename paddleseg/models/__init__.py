"""Architectures, their backbones, layers and losses."""

from paddleseg.cvlibs import manager
from paddleseg.models import backbones, losses
from paddleseg.models.deeplab import DeepLabV3, DeepLabV3P
from paddleseg.models.fcn import FCN
from paddleseg.models.ocrnet import OCRNet
from paddleseg.models.pp_liteseg import PPLiteSeg
from paddleseg.models.pspnet import PSPNet
from paddleseg.models.segformer import SegFormer
from paddleseg.models.upernet import UPerNet

__all__ = [
    "FCN",
    "DeepLabV3",
    "DeepLabV3P",
    "OCRNet",
    "PPLiteSeg",
    "PSPNet",
    "SegFormer",
    "UPerNet",
    "backbones",
    "losses",
]

# Other architectures are PaddleSeg's own, where PADDLESEG_PATH names its files.
__getattr__ = manager.getattr_of_files(__name__, manager.MODELS)

"""Building blocks that several architectures share."""

from paddleseg.models.layers.aspp import ASPPModule
from paddleseg.models.layers.conv import AuxLayer, ConvBN, ConvBNLeakyReLU, ConvBNReLU, SeparableConvBNReLU
from paddleseg.models.layers.pyramid_pool import PPContextModule, PPModule
from paddleseg.models.layers.uafm import (
    UAFM,
    UAFM_ChAtten,
    UAFM_ChAtten_S,
    UAFM_SpAtten,
    UAFM_SpAtten_S,
    UAFMMobile,
    UAFMMobile_SpAtten,
)

__all__ = [
    "ASPPModule",
    "AuxLayer",
    "ConvBN",
    "ConvBNLeakyReLU",
    "ConvBNReLU",
    "PPContextModule",
    "PPModule",
    "SeparableConvBNReLU",
    "UAFM",
    "UAFMMobile",
    "UAFMMobile_SpAtten",
    "UAFM_ChAtten",
    "UAFM_ChAtten_S",
    "UAFM_SpAtten",
    "UAFM_SpAtten_S",
]

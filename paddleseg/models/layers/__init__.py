"""Building blocks that several architectures share, under PaddleSeg's names and with its parameters."""

from paddleseg.models.layers.activation import Activation
from paddleseg.models.layers.aspp import ASPPModule
from paddleseg.models.layers.attention import AttentionBlock
from paddleseg.models.layers.conv import (
    AuxLayer,
    ConvBN,
    ConvBNLeakyReLU,
    ConvBNReLU,
    DepthwiseConvBN,
    SeparableConvBNReLU,
)
from paddleseg.models.layers.conv_act import ConvBNAct, ConvBNPReLU, ConvGNAct, ConvNormAct
from paddleseg.models.layers.jpu import JPU
from paddleseg.models.layers.nmf import NMF2D
from paddleseg.models.layers.nonlocal2d import NonLocal2D
from paddleseg.models.layers.norm import SyncBatchNorm
from paddleseg.models.layers.operations import (
    Add,
    Concat,
    Divide,
    Flatten,
    Multiply,
    Reshape,
    Subtract,
    Transpose,
)
from paddleseg.models.layers.polarized_attention import PolarizedSelfAttentionModule
from paddleseg.models.layers.pyramid_pool import PPContextModule, PPModule
from paddleseg.models.layers.tokens import to_map, to_tokens
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
    "Activation",
    "Add",
    "AttentionBlock",
    "AuxLayer",
    "Concat",
    "ConvBN",
    "ConvBNAct",
    "ConvBNLeakyReLU",
    "ConvBNPReLU",
    "ConvBNReLU",
    "ConvGNAct",
    "ConvNormAct",
    "DepthwiseConvBN",
    "Divide",
    "Flatten",
    "JPU",
    "Multiply",
    "NMF2D",
    "NonLocal2D",
    "PPContextModule",
    "PPModule",
    "PolarizedSelfAttentionModule",
    "Reshape",
    "SeparableConvBNReLU",
    "Subtract",
    "SyncBatchNorm",
    "Transpose",
    "UAFM",
    "UAFMMobile",
    "UAFMMobile_SpAtten",
    "UAFM_ChAtten",
    "UAFM_ChAtten_S",
    "UAFM_SpAtten",
    "UAFM_SpAtten_S",
    "to_map",
    "to_tokens",
]

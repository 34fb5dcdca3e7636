"""Building blocks that several architectures share."""

from paddleseg.models.layers.aspp import ASPPModule
from paddleseg.models.layers.conv import ConvBN, ConvBNReLU, SeparableConvBNReLU

__all__ = ["ASPPModule", "ConvBN", "ConvBNReLU", "SeparableConvBNReLU"]

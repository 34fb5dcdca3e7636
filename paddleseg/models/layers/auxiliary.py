"""The head of an auxiliary loss."""

import paddle.nn as nn

from paddleseg.models.layers.conv import ConvBNReLU


class AuxLayer(nn.Layer):
    """Logits from an intermediate feature map, for deep supervision: 3x3 convolution, dropout, 1x1.

    Zhao et al., "Pyramid Scene Parsing Network", https://arxiv.org/abs/1612.01105, section 3.3.
    Maps N x in_channels x H x W to N x out_channels x H x W.

    Args:
        in_channels, inter_channels, out_channels: channels before, between and after the convolutions.
        dropout_prob: rate of the dropout.
    """

    def __init__(self, in_channels, inter_channels, out_channels, dropout_prob=0.1):
        super().__init__()
        self.conv_bn_relu = ConvBNReLU(in_channels, inter_channels, 3, padding=1)
        self.dropout = nn.Dropout(dropout_prob)
        self.conv = nn.Conv2D(inter_channels, out_channels, 1)

    def forward(self, x):
        return self.conv(self.dropout(self.conv_bn_relu(x)))

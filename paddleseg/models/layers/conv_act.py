"""Convolutions with other norms and activations than batch norm and ReLU."""

import paddle.nn as nn

from paddleseg.models.layers.activation import Activation
from paddleseg.models.layers.conv import ConvBN


class ConvBNPReLU(ConvBN):
    """`ConvBN` followed by PReLU with one learned slope, 0.25 at first."""

    def __init__(self, in_channels, out_channels, kernel_size, padding="same", **conv):
        super().__init__(in_channels, out_channels, kernel_size, padding, **conv)
        self._prelu = Activation("prelu")

    def forward(self, x):
        return self._prelu(super().forward(x))


class ConvBNAct(ConvBN):
    """`ConvBN` followed by any `Activation`.

    Args:
        in_channels, out_channels, kernel_size, padding, **conv: as in `ConvBN`.
        act_type: the name of the activation; None, the default, for none.
    """

    def __init__(self, in_channels, out_channels, kernel_size, padding="same", act_type=None, **conv):
        super().__init__(in_channels, out_channels, kernel_size, padding, **conv)
        self._act = Activation(act_type)

    def forward(self, x):
        return self._act(super().forward(x))


class ConvNormAct(nn.Layer):
    """A convolution, a norm and an `Activation`.

    Args:
        in_channels, out_channels, kernel_size, padding, **conv: as in `ConvBN`.
        act_type: the name of the activation; None, the default, for none.
        norm: a layer that follows the convolution; None, the default, for none.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, padding="same", act_type=None, norm=None, **conv
    ):
        super().__init__()
        self._conv = nn.Conv2D(in_channels, out_channels, kernel_size, padding=padding, **conv)
        self._norm = norm
        self._act = Activation(act_type)

    def forward(self, x):
        x = self._conv(x)
        return self._act(x if self._norm is None else self._norm(x))


class ConvGNAct(nn.Layer):
    """A convolution, group norm and an `Activation`.

    Args:
        in_channels, out_channels, kernel_size, padding, **conv: as in `ConvBN`.
        num_groups: the groups of channels that are normalised together. Default 32.
        act_type: the name of the activation; None, the default, for none.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, padding="same", num_groups=32, act_type=None, **conv
    ):
        super().__init__()
        self._conv = nn.Conv2D(in_channels, out_channels, kernel_size, padding=padding, **conv)
        layout = conv.get("data_format", "NCHW")
        self._group_norm = nn.GroupNorm(num_groups, out_channels, data_format=layout)
        self._act = Activation(act_type)

    def forward(self, x):
        return self._act(self._group_norm(self._conv(x)))

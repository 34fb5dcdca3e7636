"""Non-local blocks: each pixel gets a mean over all pixels, weighted by their similarity."""

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.models.layers.conv import ConvBNReLU

MODES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")


class NonLocal2D(nn.Layer):
    """A non-local block with a residual connection, N x in_channels x H x W to the same shape.

    Wang et al., "Non-local Neural Networks", https://arxiv.org/abs/1711.07971. A class that derives from it
    may replace the method of its mode.

    Args:
        in_channels: channels of the map.
        reduction: the channels of the map over those of the projections. Default 2.
        use_scale: whether the embedded gaussian divides similarities by the square root of those channels.
        sub_sample: whether keys and values are max-pooled by 2.
        mode: the similarity of two pixels, "gaussian", "embedded_gaussian" (the default), "dot_product" or
            "concatenation".
    """

    def __init__(self, in_channels, reduction=2, use_scale=True, sub_sample=False, mode="embedded_gaussian"):
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        self.in_channels = in_channels
        self.reduction = reduction
        self.use_scale = use_scale
        self.sub_sample = sub_sample
        self.mode = mode
        self.inter_channels = max(in_channels // reduction, 1)
        self.g = nn.Conv2D(in_channels, self.inter_channels, 1)
        self.conv_out = ConvBNReLU(self.inter_channels, in_channels, 1, bias_attr=False)
        if mode != "gaussian":
            self.theta = nn.Conv2D(in_channels, self.inter_channels, 1)
            self.phi = nn.Conv2D(in_channels, self.inter_channels, 1)
        if mode == "concatenation":
            self.concat_project = ConvBNReLU(self.inter_channels * 2, 1, 1, bias_attr=False)
        if sub_sample:
            pool = nn.MaxPool2D(2)
            self.g = nn.Sequential(self.g, pool)
            self.phi = pool if mode == "gaussian" else nn.Sequential(self.phi, pool)

    def gaussian(self, theta_x, phi_x):
        """Return the weights, N x HW x hw, of queries N x HW x C and keys N x C x hw."""
        return F.softmax(paddle.matmul(theta_x, phi_x), axis=-1)

    def embedded_gaussian(self, theta_x, phi_x):
        """As `gaussian`, with the scale of `use_scale`."""
        scale = theta_x.shape[-1] ** 0.5 if self.use_scale else 1
        return F.softmax(paddle.matmul(theta_x, phi_x) / scale, axis=-1)

    def dot_product(self, theta_x, phi_x):
        """As `gaussian`; the dot products are divided by the number of keys."""
        return paddle.matmul(theta_x, phi_x) / phi_x.shape[-1]

    def concatenation(self, theta_x, phi_x):
        """As `dot_product`, of a learned map of the pair, for N x C x HW x 1 and N x C x 1 x hw."""
        queries, keys = theta_x.shape[2], phi_x.shape[3]
        pairs = [paddle.tile(theta_x, [1, 1, 1, keys]), paddle.tile(phi_x, [1, 1, queries, 1])]
        return self.concat_project(paddle.concat(pairs, axis=1)).squeeze(1) / keys

    def forward(self, x):
        queries = x if self.mode == "gaussian" else self.theta(x)
        keys = self.phi(x) if self.sub_sample or self.mode != "gaussian" else x
        queries, keys = queries.flatten(2), keys.flatten(2)
        if self.mode == "concatenation":
            weights = self.concatenation(queries.unsqueeze(3), keys.unsqueeze(2))
        else:
            weights = getattr(self, self.mode)(queries.transpose([0, 2, 1]), keys)
        y = paddle.matmul(self.g(x).flatten(2), weights, transpose_y=True)
        return x + self.conv_out(y.reshape([0, self.inter_channels, *x.shape[2:]]))

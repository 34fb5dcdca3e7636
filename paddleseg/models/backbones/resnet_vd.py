"""The "vd" ResNets: three 3x3 convolutions as stem, average pooling before a strided shortcut.

He et al., "Bag of Tricks for Image Classification with Convolutional Neural Networks",
https://arxiv.org/abs/1812.01187 (ResNet-D). Sublayer names are PaddleSeg's, since published weights use them.
"""

import itertools
from typing import Optional, Sequence

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg import onednn
from paddleseg.errors import UserError
from paddleseg.models.base import Backbone
from paddleseg.models.checks import check_counts
from paddleseg.weights.load import load_backbone_weights

# By output stride. A dilated stage has no stride.
STAGE_DILATIONS = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}


class ConvBNLayer(nn.Layer):
    """[Average pooling, 2x2,] convolution without bias, batch norm[, ReLU]."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, dilation=1, relu=True, pool=False):
        super().__init__()
        self._pool2d_avg = nn.AvgPool2D(2, stride=2, ceil_mode=True) if pool else None
        self._conv = nn.Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=(kernel_size // 2) * dilation,
            dilation=dilation,
            bias_attr=False,
        )
        self._batch_norm = nn.BatchNorm2D(out_channels)
        self._relu = relu

    def forward(self, x):
        if self._pool2d_avg is not None:
            x = self._pool2d_avg(x)
        y = onednn.fused(self._conv, self._batch_norm, x, self._relu)
        if y is not None:
            return y
        y = self._batch_norm(self._conv(x))
        return F.relu(y) if self._relu else y


class ResidualBlock(nn.Layer):
    """Convolutions `conv0`, `conv1`, ..., whose output is added to the input or to its projection `short`.

    Args:
        convs: the convolutions, in order.
        short: the projection of the shortcut; None adds the input as it is.
    """

    def __init__(self, convs, short):
        super().__init__()
        self._num_convs = len(convs)
        for i, conv in enumerate(convs):
            self.add_sublayer(f"conv{i}", conv)
        if short is not None:
            self.short = short
        self._projects = short is not None

    def forward(self, x):
        y = x
        for i in range(self._num_convs):
            y = getattr(self, f"conv{i}")(y)
        return F.relu(y + (self.short(x) if self._projects else x))

    def residual(self):
        """Return the block as an `onednn.Residual`; None unless it is in evaluation mode and as it was built.

        A hook on the block or on its `ConvBNLayer`s wants their maps, and a replaced layer computes something
        else. A pooling shortcut has no place in a `Residual`.
        """
        convs = [getattr(self, f"conv{i}") for i in range(self._num_convs)]
        short = self.short if self._projects else None
        if self.training or not (_is_untouched(self, ResidualBlock) and _are_fusible(convs, short)):
            return None
        pairs = tuple((one._conv, one._batch_norm) for one in convs)
        return onednn.Residual(pairs, short and (short._conv, short._batch_norm))


def _are_fusible(convs, short):
    """Tell whether ReLU follows all but the last of some convolutions, and nothing else does."""
    layers = [*convs, *([short] if short is not None else [])]
    if not all(_is_untouched(one, ConvBNLayer) and one._pool2d_avg is None for one in layers):
        return False
    wanted = [True] * (len(convs) - 1) + [False] * (len(layers) - len(convs) + 1)
    return [one._relu for one in layers] == wanted


def _is_untouched(layer, layer_class):
    """Tell whether a layer is of this very class, without hooks and without a `forward` of its own."""
    hooked = layer._forward_pre_hooks or layer._forward_post_hooks
    return type(layer) is layer_class and not hooked and "forward" not in vars(layer)


def basic_convs(in_channels, width, stride, dilation):
    """Return the two 3x3 convolutions of a basic block (ResNet18 and 34)."""
    return [
        ConvBNLayer(in_channels, width, 3, stride=stride, dilation=dilation),
        ConvBNLayer(width, width, 3, dilation=dilation, relu=False),
    ]


def bottleneck_convs(in_channels, width, stride, dilation):
    """Return the 1x1, 3x3, 1x1 convolutions of a bottleneck (ResNet50 and deeper)."""
    return [
        ConvBNLayer(in_channels, width, 1),
        ConvBNLayer(width, width, 3, stride=stride, dilation=dilation),
        ConvBNLayer(width, 4 * width, 1, relu=False),
    ]


class ResNet_vd(Backbone):
    """ResNet-D, with the feature maps of its four stages; see `Backbone` for the other parameters.

    Maps N x in_channels x H x W to a list of four maps N x `feat_channels[i]` x H_i x W_i at strides
    4, 8, 8, 8 (`output_stride` 8), 4, 8, 16, 16 (`output_stride` 16) or 4, 8, 16, 32 (`output_stride` 32,
    unless `multi_grid` dilates the last stage).

    Args:
        output_stride: 8, 16 or 32; dilation replaces the strides beyond it.
        multi_grid: factor on the dilation of each block of the last stage; further factors are not used.

    Attributes:
        depths: number of blocks of each stage.
        bottleneck: whether the blocks are bottlenecks, else basic blocks.
        layers: the number in the network's name, by which PaddleSeg's SFNet tells the networks apart.

    Raises:
        UserError: another output stride, too few or invalid factors in `multi_grid`, weights that do not
            match.
    """

    depths: Sequence[int] = ()
    bottleneck = False

    def __init__(
        self,
        output_stride: int = 8,
        multi_grid: Sequence[int] = (1, 1, 1),
        pretrained: Optional[str] = None,
        in_channels: int = 3,
    ):
        super().__init__()
        if output_stride not in STAGE_DILATIONS:
            raise UserError(f"output_stride must be 8, 16 or 32, not {output_stride}")
        if len(multi_grid) < self.depths[3]:
            raise UserError(
                f"multi_grid needs a factor for each of the {self.depths[3]} blocks of the last stage "
                f"of {type(self).__name__}, {list(multi_grid)} has {len(multi_grid)}"
            )
        check_counts("multi_grid", multi_grid)
        self.layers = sum(self.depths) * (3 if self.bottleneck else 2) + 2
        self.conv1_1 = ConvBNLayer(in_channels, 32, 3, stride=2)
        self.conv1_2 = ConvBNLayer(32, 32, 3)
        self.conv1_3 = ConvBNLayer(32, 64, 3)
        self.pool2d_max = nn.MaxPool2D(3, stride=2, padding=1)

        stage_dilations = STAGE_DILATIONS[output_stride]
        channels = 64
        self.feat_channels = []
        for stage, depth in enumerate(self.depths):
            grid = multi_grid if stage == 3 else (1,) * depth
            for i in range(depth):
                block, channels = self._block(stage, i, channels, stage_dilations[stage] * grid[i])
                self.add_sublayer(f"bb_{stage}_{i}", block)
            self.feat_channels.append(channels)
        if pretrained is not None:
            load_backbone_weights(self, pretrained)

    def _block(self, stage, i, in_channels, dilation):
        """Return block `i` of `stage` and the number of its output channels."""
        width = 64 * 2**stage
        out_channels = 4 * width if self.bottleneck else width
        stride = 2 if i == 0 and stage > 0 and dilation == 1 else 1
        convs = (bottleneck_convs if self.bottleneck else basic_convs)(in_channels, width, stride, dilation)
        short = None
        if i == 0:
            short = ConvBNLayer(in_channels, out_channels, 1, relu=False, pool=stride == 2)
        return ResidualBlock(convs, short), out_channels

    def forward(self, x):
        x = self.pool2d_max(self.conv1_3(self.conv1_2(self.conv1_1(x))))
        features = []
        for stage, depth in enumerate(self.depths):
            x = _through([getattr(self, f"bb_{stage}_{i}") for i in range(depth)], x)
            features.append(x)
        return features


@paddle.jit.not_to_static
def _through(blocks, x):
    """Return the output of blocks, one after another; the frozen ones of a run as one computation."""
    residuals = [block.residual() if type(block) is ResidualBlock else None for block in blocks]
    for can_fuse, run in itertools.groupby(zip(blocks, residuals), lambda pair: pair[1] is not None):
        run, known = zip(*run)
        y = onednn.fused_residuals(known, x) if can_fuse else None
        if y is None:
            for block in run:
                x = block(x)
        else:
            x = y
    return x


ResNet18_vd = ResNet_vd.variant("ResNet18_vd", depths=(2, 2, 2, 2))
ResNet34_vd = ResNet_vd.variant("ResNet34_vd", depths=(3, 4, 6, 3))
ResNet50_vd = ResNet_vd.variant("ResNet50_vd", depths=(3, 4, 6, 3), bottleneck=True)
ResNet101_vd = ResNet_vd.variant("ResNet101_vd", depths=(3, 4, 23, 3), bottleneck=True)
ResNet152_vd = ResNet_vd.variant("ResNet152_vd", depths=(3, 8, 36, 3), bottleneck=True)

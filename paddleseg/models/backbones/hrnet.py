"""HRNet: branches at four resolutions, which exchange their maps again and again.

Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition",
https://arxiv.org/abs/1908.07919. Sublayer names are PaddleSeg's, since published weights use them.
"""

from typing import NamedTuple, Optional, Sequence

import paddle
import paddle.nn as nn
import paddle.nn.functional as F

from paddleseg.models.base import Backbone
from paddleseg.models.layers import ConvBN, ConvBNReLU, PolarizedSelfAttentionModule
from paddleseg.models.layers.interpolate import interpolate
from paddleseg.weights.load import load_weights

# The classifier of published ImageNet weights.
CLASSIFIER_PREFIXES = ("last_cls.", "cls_head_", "conv_last.", "out.")


class Form(NamedTuple):
    """What all blocks of a network have in common: parameters of `HRNet`."""

    has_se: bool
    align_corners: bool
    padding_same: bool
    use_psa: bool

    def conv(self, in_channels, out_channels, kernel_size, stride=1, relu=True):
        """Return a convolution with batch norm and, if `relu`, ReLU."""
        padding = "same" if self.padding_same else kernel_size // 2
        block = ConvBNReLU if relu else ConvBN
        return block(
            *(in_channels, out_channels, kernel_size),
            **{"stride": stride, "padding": padding, "bias_attr": False, "weight_attr": initial_kernel()},
        )

    def attention(self, channels):
        """Return the attention inside a basic block, an identity without it."""
        if not self.use_psa:
            return nn.Identity()
        attention = PolarizedSelfAttentionModule(channels, channels)
        for conv in attention.sublayers():
            initial_kernel()(conv.weight)
        return attention

    def squeeze(self, channels):
        """Return the squeeze and excitation at the end of a block's branch, an identity without it."""
        return SELayer(channels) if self.has_se else nn.Identity()

    def resized(self, x, like):
        """Return a map resized bilinearly to the height and width of another."""
        return interpolate(x, like.shape[2:], mode="bilinear", align_corners=self.align_corners)


def initial_kernel():
    """Return the initial distribution of all kernels."""
    return nn.initializer.Normal(std=0.001)


class SELayer(nn.Layer):
    """Squeeze and excitation: a factor for each channel, computed from the channels' means over the image.

    Hu et al., https://arxiv.org/abs/1709.01507. Maps N x channels x H x W to the same shape.

    Args:
        channels: channels of the map; between the two linear layers there is a sixteenth.
    """

    def __init__(self, channels):
        super().__init__()
        inner = channels // 16
        self.squeeze = nn.Linear(channels, inner, weight_attr=self._uniform(channels))
        self.excitation = nn.Linear(inner, channels, weight_attr=self._uniform(inner))

    @staticmethod
    def _uniform(inputs):
        return nn.initializer.Uniform(-(inputs**-0.5), inputs**-0.5)

    def forward(self, x):
        mean = F.adaptive_avg_pool2d(x, 1).flatten(1)
        factor = F.sigmoid(self.excitation(F.relu(self.squeeze(mean))))
        return x * factor.unsqueeze([2, 3])


class BottleneckBlock(nn.Layer):
    """Convolutions 1x1, 3x3 and 1x1, added to the input or to its projection `conv_down`.

    Maps N x in_channels x H x W to N x 4 width x H x W.

    Args:
        in_channels, width: channels before and inside.
        project: whether the shortcut has a 1x1 convolution.
        form: a `Form`.
    """

    def __init__(self, in_channels, width, project, form):
        super().__init__()
        self.conv1 = form.conv(in_channels, width, 1)
        self.conv2 = form.conv(width, width, 3)
        self.conv3 = form.conv(width, 4 * width, 1, relu=False)
        self.conv_down = form.conv(in_channels, 4 * width, 1, relu=False) if project else nn.Identity()
        self.se = form.squeeze(4 * width)

    def forward(self, x):
        return F.relu(self.se(self.conv3(self.conv2(self.conv1(x)))) + self.conv_down(x))


class BasicBlock(nn.Layer):
    """Two 3x3 convolutions, added to the input: N x channels x H x W to the same shape.

    Args:
        channels: channels of the map.
        form: a `Form`.
    """

    def __init__(self, channels, form):
        super().__init__()
        self.conv1 = form.conv(channels, channels, 3)
        self.deattn = form.attention(channels)
        self.conv2 = form.conv(channels, channels, 3, relu=False)
        self.se = form.squeeze(channels)

    def forward(self, x):
        return F.relu(self.se(self.conv2(self.deattn(self.conv1(x)))) + x)


class Layer1(nn.Layer):
    """The bottlenecks ahead of the branches: N x 64 x H x W to N x 4 width x H x W.

    Args:
        num_blocks, width: number of the bottlenecks, and channels inside.
        form: a `Form`.
    """

    def __init__(self, num_blocks, width, form):
        super().__init__()
        self._names = [f"bb_layer2_{i + 1}" for i in range(num_blocks)]
        for i, name in enumerate(self._names):
            block = BottleneckBlock(4 * width if i else 64, width, project=i == 0, form=form)
            self.add_sublayer(name, block)

    def forward(self, x):
        for name in self._names:
            x = getattr(self, name)(x)
        return x


class TransitionLayer(nn.Layer):
    """The maps of one stage as those that the next stage starts from: one map more, at half the resolution.

    Args:
        name: the stage's number in names of sublayers.
        in_channels, out_channels: of each map before and after.
        form: a `Form`.
    """

    def __init__(self, name, in_channels, out_channels, form):
        super().__init__()
        self._convs = []
        for i, channels in enumerate(out_channels):
            own = in_channels[min(i, len(in_channels) - 1)]
            is_new = i >= len(in_channels)
            self._convs.append(f"transition_{name}_layer_{i + 1}" if is_new or own != channels else None)
            if self._convs[i]:
                self.add_sublayer(self._convs[i], form.conv(own, channels, 3, stride=2 if is_new else 1))

    def forward(self, maps):
        # A new branch starts from the coarsest map.
        sources = [maps[min(i, len(maps) - 1)] for i in range(len(self._convs))]
        return [getattr(self, conv)(x) if conv else x for conv, x in zip(self._convs, sources)]


class Branches(nn.Layer):
    """A row of basic blocks on each map: a list of maps to one of the same shapes.

    Args:
        name: the module's name in names of sublayers.
        num_blocks: blocks of each row.
        channels: of each map.
        form: a `Form`.
    """

    def __init__(self, name, num_blocks, channels, form):
        super().__init__()
        self._rows = [
            [f"bb_{name}_branch_layer_{i + 1}_{j + 1}" for j in range(num_blocks)]
            for i in range(len(channels))
        ]
        for row, own in zip(self._rows, channels):
            for block in row:
                self.add_sublayer(block, BasicBlock(own, form))

    def forward(self, maps):
        outputs = []
        for row, x in zip(self._rows, maps):
            for block in row:
                x = getattr(self, block)(x)
            outputs.append(x)
        return outputs


class FuseLayers(nn.Layer):
    """The exchange between resolutions: each map plus all others, resized to it; then ReLU.

    Finer maps are halved by strided 3x3 convolutions, coarser ones pass a 1x1 convolution and are upsampled.

    Args:
        name: the module's name in names of sublayers.
        channels: of each map.
        form: a `Form`.
    """

    def __init__(self, name, channels, form):
        super().__init__()
        self._form = form
        # The names of the convolutions from map j to map i.
        self._paths = {}
        for i, own in enumerate(channels):
            for j, other in enumerate(channels):
                prefix = f"residual_{name}_layer_{i + 1}_{j + 1}"
                if j > i:
                    self._paths[i, j] = [prefix]
                    self.add_sublayer(prefix, form.conv(other, own, 1, relu=False))
                elif j < i:
                    self._paths[i, j] = [f"{prefix}_{k + 1}" for k in range(i - j)]
                    self._add_halvings(self._paths[i, j], other, own)

    def _add_halvings(self, names, channels, out_channels):
        """Add a convolution of stride 2 for each name; the last one changes the channels."""
        *before, last = names
        for one in before:
            self.add_sublayer(one, self._form.conv(channels, channels, 3, stride=2))
        self.add_sublayer(last, self._form.conv(channels, out_channels, 3, stride=2, relu=False))

    def forward(self, maps):
        outputs = []
        for i, own in enumerate(maps):
            total = own
            for j, x in enumerate(maps):
                for name in self._paths.get((i, j), ()):
                    x = getattr(self, name)(x)
                if j != i:
                    total = total + (self._form.resized(x, own) if j > i else x)
            outputs.append(F.relu(total))
        return outputs


class HighResolutionModule(nn.Layer):
    """`Branches`, then `FuseLayers`: a list of maps to one of the same shapes."""

    def __init__(self, name, num_blocks, channels, form):
        super().__init__()
        self.branches_func = Branches(name, num_blocks, channels, form)
        self.fuse_func = FuseLayers(name, channels, form)

    def forward(self, maps):
        return self.fuse_func(self.branches_func(maps))


class Stage(nn.Layer):
    """A row of `HighResolutionModule`: a list of maps to one of the same shapes."""

    def __init__(self, name, num_modules, num_blocks, channels, form):
        super().__init__()
        self._names = [f"stage_{name}_{i + 1}" for i in range(num_modules)]
        for i, one in enumerate(self._names):
            self.add_sublayer(one, HighResolutionModule(f"{name}_{i + 1}", num_blocks, channels, form))

    def forward(self, maps):
        for name in self._names:
            maps = getattr(self, name)(maps)
        return maps


class HRNet(Backbone):
    """HRNet, with one feature map of all four resolutions; see `Backbone` for the other parameters.

    Maps N x in_channels x H x W to a list of one map N x 15 width x H/4 x W/4: the maps of width, 2, 4 and 8
    times width channels at strides 4, 8, 16 and 32, resized to the first one's size and concatenated.

    Args:
        has_se: whether every block has squeeze and excitation.
        align_corners: as in `paddle.nn.functional.interpolate`, for every upsampling.
        padding_same: whether a strided convolution pads an even size at the bottom and on the right alone, as
            "same" does; False pads all four sides, as the authors' weights need it.
        use_psa: whether every basic block has polarized self-attention.

    Attributes:
        width: channels of the finest branch.
        first: number of the bottlenecks ahead of the branches, and their width.
        num_modules: modules of the stages with two, three and four branches.
        num_blocks: basic blocks of each branch of a module.

    Raises:
        UserError: weights that do not match.
    """

    width = 18
    first: Sequence[int] = (4, 64)
    num_modules: Sequence[int] = (1, 4, 3)
    num_blocks = 4

    def __init__(
        self,
        in_channels: int = 3,
        pretrained: Optional[str] = None,
        has_se: bool = False,
        align_corners: bool = False,
        padding_same: bool = True,
        use_psa: bool = False,
    ):
        super().__init__()
        self._form = form = Form(has_se, align_corners, padding_same, use_psa)
        self.conv_layer1_1 = form.conv(in_channels, 64, 3, stride=2)
        self.conv_layer1_2 = form.conv(64, 64, 3, stride=2)
        num_bottlenecks, first_width = self.first
        self.la1 = Layer1(num_bottlenecks, first_width, form)
        before = [4 * first_width]
        for i, num_modules in enumerate(self.num_modules, start=1):
            channels = [self.width * 2**branch for branch in range(i + 1)]
            self.add_sublayer(f"tr{i}", TransitionLayer(f"tr{i}", before, channels, form))
            self.add_sublayer(f"st{i + 1}", Stage(f"st{i + 1}", num_modules, self.num_blocks, channels, form))
            before = channels
        self.feat_channels = [sum(channels)]
        if pretrained is not None:
            load_weights(self, pretrained, CLASSIFIER_PREFIXES)

    def forward(self, x):
        maps = [self.la1(self.conv_layer1_2(self.conv_layer1_1(x)))]
        for i in range(1, len(self.num_modules) + 1):
            maps = getattr(self, f"st{i + 1}")(getattr(self, f"tr{i}")(maps))
        finest, *coarser = maps
        return [paddle.concat([finest, *(self._form.resized(x, finest) for x in coarser)], axis=1)]


SMALL_V1 = {"width": 16, "first": (1, 32), "num_modules": (1, 1, 1), "num_blocks": 2}
SMALL_V2 = {"width": 18, "first": (2, 64), "num_modules": (1, 3, 2), "num_blocks": 2}
HRNet_W18_Small_V1 = HRNet.variant("HRNet_W18_Small_V1", **SMALL_V1)
HRNet_W18_Small_V2 = HRNet.variant("HRNet_W18_Small_V2", **SMALL_V2)
HRNet_W18 = HRNet.variant("HRNet_W18", width=18)
HRNet_W30 = HRNet.variant("HRNet_W30", width=30)
HRNet_W32 = HRNet.variant("HRNet_W32", width=32)
HRNet_W40 = HRNet.variant("HRNet_W40", width=40)
HRNet_W44 = HRNet.variant("HRNet_W44", width=44)
HRNet_W48 = HRNet.variant("HRNet_W48", width=48)
HRNet_W60 = HRNet.variant("HRNet_W60", width=60)
HRNet_W64 = HRNet.variant("HRNet_W64", width=64)

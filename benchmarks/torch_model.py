"""DeepLabV3P on ResNet_vd in PyTorch, for comparison: the toolkit's layers, with the same names."""

import torch
import torch.nn.functional as F
from torch import nn


class ConvBN(nn.Module):
    """[Average pooling,] convolution, batch norm[, ReLU]."""

    def __init__(self, in_channels, out_channels, kernel_size, relu=True, pool=False, bias=False, **conv):
        super().__init__()
        conv.setdefault("padding", (kernel_size // 2) * conv.get("dilation", 1))
        self._pool = nn.AvgPool2d(2, 2, ceil_mode=True) if pool else None
        self._conv = nn.Conv2d(in_channels, out_channels, kernel_size, bias=bias, **conv)
        self._batch_norm = nn.BatchNorm2d(out_channels)
        self._relu = relu

    def forward(self, x):
        x = x if self._pool is None else self._pool(x)
        x = self._batch_norm(self._conv(x))
        return F.relu(x) if self._relu else x


class Separable(nn.Module):
    """A depthwise convolution and a pointwise one, each with batch norm."""

    def __init__(self, in_channels, out_channels, dilation=1):
        super().__init__()
        self.depthwise_conv = ConvBN(
            in_channels, in_channels, 3, relu=False, bias=True, groups=in_channels, dilation=dilation
        )
        self.piontwise_conv = ConvBN(in_channels, out_channels, 1, bias=True)

    def forward(self, x):
        return self.piontwise_conv(self.depthwise_conv(x))


class Block(nn.Module):
    """A residual block, basic or a bottleneck."""

    def __init__(self, in_channels, width, stride, dilation, first, bottleneck):
        super().__init__()
        out_channels = 4 * width if bottleneck else width
        middle = {"stride": stride, "dilation": dilation}
        if bottleneck:
            self.conv0 = ConvBN(in_channels, width, 1)
            self.conv1 = ConvBN(width, width, 3, **middle)
            self.conv2 = ConvBN(width, out_channels, 1, relu=False)
        else:
            self.conv0 = ConvBN(in_channels, width, 3, **middle)
            self.conv1 = ConvBN(width, width, 3, dilation=dilation, relu=False)
        self.short = ConvBN(in_channels, out_channels, 1, relu=False, pool=stride == 2) if first else None

    def forward(self, x):
        y = self.conv1(self.conv0(x))
        y = self.conv2(y) if hasattr(self, "conv2") else y
        return F.relu(y + (x if self.short is None else self.short(x)))


class ResNet_vd(nn.Module):
    """ResNet-D at an output stride of 8 with a multi-grid of 1, 2, 4; returns the first and last map."""

    def __init__(self, layers):
        super().__init__()
        depths, bottleneck = {18: ((2, 2, 2, 2), False), 50: ((3, 4, 6, 3), True)}[layers]
        self.conv1_1 = ConvBN(3, 32, 3, stride=2)
        self.conv1_2 = ConvBN(32, 32, 3)
        self.conv1_3 = ConvBN(32, 64, 3)
        self._stages, self.channels, channels = [], [], 64
        for stage, (depth, dilation) in enumerate(zip(depths, (1, 1, 2, 4))):
            self._stages.append([f"bb_{stage}_{i}" for i in range(depth)])
            for i in range(depth):
                stride = 2 if i == 0 and stage == 1 else 1
                grid = (1, 2, 4)[i] if stage == 3 else 1
                width = 64 * 2**stage
                block = Block(channels, width, stride, dilation * grid, i == 0, bottleneck)
                self.add_module(f"bb_{stage}_{i}", block)
                channels = 4 * width if bottleneck else width
            self.channels.append(channels)

    def forward(self, x):
        x = F.max_pool2d(self.conv1_3(self.conv1_2(self.conv1_1(x))), 3, 2, 1)
        maps = []
        for names in self._stages:
            for name in names:
                x = getattr(self, name)(x)
            maps.append(x)
        return maps[0], maps[-1]


class ASPP(nn.Module):
    """Four atrous branches, the image's mean, and their fusion."""

    def __init__(self, in_channels, channels):
        super().__init__()
        branches = [Separable(in_channels, channels, ratio) for ratio in (12, 24, 36)]
        self.aspp_blocks = nn.ModuleList([ConvBN(in_channels, channels, 1, bias=True), *branches])
        self.global_avg_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvBN(in_channels, channels, 1))
        self.conv_bn_relu = ConvBN(5 * channels, channels, 1, bias=True)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        branches = [block(x) for block in self.aspp_blocks]
        branches.append(F.interpolate(self.global_avg_pool(x), x.shape[2:], mode="bilinear"))
        return self.dropout(self.conv_bn_relu(torch.cat(branches, 1)))


class Decoder(nn.Module):
    """Joins the ASPP's map with the low-level map."""

    def __init__(self, num_classes, low_channels, channels):
        super().__init__()
        self.conv_bn_relu1 = ConvBN(low_channels, 48, 1, bias=True)
        self.conv_bn_relu2 = Separable(channels + 48, 256)
        self.conv_bn_relu3 = Separable(256, 256)
        self.conv = nn.Conv2d(256, num_classes, 1)

    def forward(self, x, low):
        x = F.interpolate(x, low.shape[2:], mode="bilinear")
        x = torch.cat([x, self.conv_bn_relu1(low)], 1)
        return self.conv(self.conv_bn_relu3(self.conv_bn_relu2(x)))


class DeepLabV3P(nn.Module):
    """DeepLabV3+ with the quick start's settings: N x 3 x H x W to logits N x num_classes x H x W."""

    def __init__(self, layers, num_classes=2):
        super().__init__()
        self.backbone = ResNet_vd(layers)
        low_channels, *_, high_channels = self.backbone.channels
        self.head = nn.Module()
        self.head.aspp = ASPP(high_channels, 256)
        self.head.decoder = Decoder(num_classes, low_channels, 256)

    def forward(self, x):
        low, high = self.backbone(x)
        logits = self.head.decoder(self.head.aspp(high), low)
        return F.interpolate(logits, x.shape[2:], mode="bilinear")


def load_paddle(model, arrays):
    """Copy all weights of the same model in Paddle, {name: array}.

    Raises:
        RuntimeError: a name is missing or unknown, or a shape differs.
    """
    renamed = {"._mean": ".running_mean", "._variance": ".running_var"}
    state = {}
    for name, array in arrays.items():
        for theirs, ours in renamed.items():
            name = name.replace(theirs, ours)
        state[name] = torch.from_numpy(array)
    counters = {name: value for name, value in model.state_dict().items() if "num_batches" in name}
    model.load_state_dict({**state, **counters})

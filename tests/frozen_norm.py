"""DeepLabV3P as a function of each image alone: batch norm by its running statistics, no dropout."""

import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.models import DeepLabV3P
from paddleseg.models.base import Backbone
from paddleseg.models.layers import ConvBNReLU

built = []


@manager.BACKBONES.add_component
class FourMaps(Backbone):
    """Four maps of 8 channels, at strides 4, 8, 16 and 16; small, since the test saves it at each step."""

    feat_channels = (8, 8, 8, 8)

    def __init__(self):
        super().__init__()
        sizes = [(3, 4), (8, 2), (8, 2), (8, 1)]
        self.stages = nn.LayerList(
            [ConvBNReLU(channels, 8, 3, stride=stride, padding=1) for channels, stride in sizes]
        )

    def forward(self, x):
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


@manager.MODELS.add_component
class FrozenNormDeepLab(DeepLabV3P):
    def __init__(self, num_classes: int, backbone: nn.Layer):
        super().__init__(num_classes, backbone, aspp_out_channels=16)
        self.head.aspp.dropout = nn.Dropout(0.0)
        built.append(self)

    def train(self):
        super().train()
        for layer in self.sublayers():
            if isinstance(layer, nn.BatchNorm2D):
                layer.eval()

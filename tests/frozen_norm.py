"""DeepLabV3P as a function of each image alone: batch norm by its running statistics, no dropout."""

import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.models import DeepLabV3P

built = []


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

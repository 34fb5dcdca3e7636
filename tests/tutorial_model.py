"""The small model with which PaddleSeg's tutorial explains intermediate tensors, as a user's component.

Its class has a name of its own, since the tutorial's `Model` is registered by another test of the process.
"""

import numpy as np
import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager


@manager.MODELS.add_component
class TutorialModel(nn.Layer):
    """Three convolutions, a reshape, a linear layer: 3 x 32 x 32 to ten numbers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2D(3, 3, 3, padding=1)
        self.conv2 = nn.Conv2D(3, 3, 3, padding=1)
        self.conv3 = nn.Conv2D(3, 3, 3, padding=1)
        self.fc = nn.Linear(3072, 10)

    def forward(self, x):
        x = self.conv3(self.conv2(self.conv1(x)))
        self.reshape_out = paddle.reshape(x, [x.shape[0], -1])
        return self.fc(self.reshape_out)


@manager.DATASETS.add_component
class Digits:
    """Sixteen random images with one label each."""

    def __len__(self):
        return 16

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        return rng.standard_normal((3, 32, 32)).astype("float32"), np.int64(index % 10)

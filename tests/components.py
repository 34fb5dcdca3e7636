"""Components as users write them: with and without annotations, defaults and `pretrained`."""

from typing import Callable, Optional, Sequence

import paddle.nn as nn

from paddleseg.cvlibs import manager


@manager.MODELS.add_component
class UserNet(nn.Layer):
    """One convolution; has no parameter `pretrained`."""

    def __init__(self, num_classes: int, width: Optional[int] = None):
        super().__init__()
        self.width = width
        self.conv = nn.Conv2D(3, num_classes, 1)

    def forward(self, x):
        return [self.conv(x)]


@manager.MODELS.add_component
class UnannotatedNet(nn.Layer):
    """Has parameters without annotations, with defaults of several types."""

    def __init__(self, num_classes, ratio=0.5, sizes=(1, 2), name="x", flag=False, anything=None):
        super().__init__()
        self.given = {"num_classes": num_classes, "ratio": ratio, "sizes": sizes, "anything": anything}


@manager.MODELS.add_component
class LooseNet(nn.Layer):
    """Takes any keyword."""

    def __init__(self, **kwargs):
        super().__init__()
        self.given = kwargs


@manager.MODELS.add_component
class HeadedNet(nn.Layer):
    """Takes components under names that no built-in component uses."""

    def __init__(self, trunk: nn.Layer, head: nn.Layer, parts: Sequence = (), limit: int = None):
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.parts = list(parts)


@manager.LOSSES.add_component
class UserLoss(nn.Layer):
    """Does not state what it compares, and takes no `ignore_index`."""

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = scale

    def forward(self, x, y):
        return self.scale * (x - y).abs().mean()


@manager.DATASETS.add_component
class UserData:
    """Holds its arguments, and no samples."""

    def __init__(self, transforms: Sequence[Callable], num_classes: int, mode: str, ignore_index: int = 255):
        self.transforms = transforms
        self.num_classes = num_classes
        self.mode = mode
        self.ignore_index = ignore_index


@manager.DATASETS.add_component
class IgnoringData(UserData):
    """States the ignored label on its class, as PaddleSeg's data sets do."""

    IGNORE_INDEX = 0

    def __init__(self, transforms, num_classes, mode, ignore_index=0):
        super().__init__(transforms, num_classes, mode, ignore_index)


@manager.DATASETS.add_component
class LooseData:
    """Takes `transforms` and any other keyword."""

    def __init__(self, transforms, **more):
        self.given = more


@manager.LR_SCHEDULERS.add_component
def user_schedule(learning_rate: float, decay_steps: int):
    """A schedule that needs to know for how many steps it runs."""
    return learning_rate, decay_steps

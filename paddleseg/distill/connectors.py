"""Connectors: layers, trained with the student, that bring its features to a teacher's number of channels.

`Connector(student_channels, teacher_channels, ...)` maps N x student_channels x H x W to N x teacher_channels
x H x W. Users register their own by `@manager.CONNECTORS.add_component`. Connectors are not part of the
student: `model.pdparams` does not hold them.
"""

from typing import Optional

import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError


def _conv(in_channels, out_channels, kernel_size=1, bias=True):
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise UserError(
            f"kernel_size must be odd, such as 1 or 3, to keep height and width; not {kernel_size}"
        )
    return nn.Conv2D(
        in_channels,
        out_channels,
        kernel_size,
        padding=kernel_size // 2,
        weight_attr=nn.initializer.KaimingNormal(),
        bias_attr=None if bias else False,
    )


@manager.CONNECTORS.add_component
class ConvConnector(nn.Layer):
    """A convolution with bias: the regressor of FitNets (Romero et al., https://arxiv.org/abs/1412.6550).

    Args:
        student_channels, teacher_channels: channels of the input and of the output.
        kernel_size: odd. Default 1.

    Raises:
        UserError: `kernel_size` is not odd.
    """

    def __init__(self, student_channels: int, teacher_channels: int, kernel_size: int = 1):
        super().__init__()
        self.conv = _conv(student_channels, teacher_channels, kernel_size)

    def forward(self, x):
        """Return N x teacher_channels x H x W of x, N x student_channels x H x W."""
        return self.conv(x)


@manager.CONNECTORS.add_component
class ConvBNConnector(nn.Layer):
    """A convolution and batch norm, without ReLU; `connector: auto` takes the one of 1 x 1.

    Args:
        student_channels, teacher_channels: channels of the input and of the output.
        kernel_size: odd. Default 1.

    Raises:
        UserError: `kernel_size` is not odd.
    """

    def __init__(self, student_channels: int, teacher_channels: int, kernel_size: int = 1):
        super().__init__()
        self.conv = _conv(student_channels, teacher_channels, kernel_size, bias=False)
        self.batch_norm = nn.BatchNorm2D(teacher_channels)

    def forward(self, x):
        """Return N x teacher_channels x H x W of x, N x student_channels x H x W."""
        return self.batch_norm(self.conv(x))


@manager.CONNECTORS.add_component
class MLPConnector(nn.Layer):
    """Two 1 x 1 convolutions with a ReLU between them.

    Args:
        student_channels, teacher_channels: channels of the input and of the output.
        hidden_channels: channels between the two maps; None for the teacher's number. Default None.

    Raises:
        UserError: `hidden_channels` is below 1.
    """

    def __init__(self, student_channels: int, teacher_channels: int, hidden_channels: Optional[int] = None):
        super().__init__()
        hidden = teacher_channels if hidden_channels is None else hidden_channels
        if hidden < 1:
            raise UserError(f"hidden_channels must be 1 or more, not {hidden}")
        self.first = _conv(student_channels, hidden)
        self.second = _conv(hidden, teacher_channels)

    def forward(self, x):
        """Return N x teacher_channels x H x W of x, N x student_channels x H x W."""
        return self.second(nn.functional.relu(self.first(x)))

"""An activation by its name."""

import paddle.nn as nn
from paddle.nn.layer import activation

from paddleseg.errors import UserError, suggestion

_CLASSES = {
    name.lower(): value
    for name, value in vars(activation).items()
    if isinstance(value, type) and issubclass(value, nn.Layer) and value is not nn.Layer
}


class Activation(nn.Layer):
    """The activation layer of Paddle that a name stands for: "relu", "gelu", "leakyrelu", "prelu", ...

    Args:
        act: the name of one of Paddle's classes, in lower case, which is built without arguments; None, the
            default, leaves the input as it is.

    Raises:
        UserError: there is no such activation.
    """

    def __init__(self, act=None):
        super().__init__()
        if act is not None and act not in _CLASSES:
            raise UserError(f"unknown activation {act!r}: {suggestion(act, _CLASSES)}")
        # The name is part of the keys of published weights: PReLU has a parameter.
        self.act_func = None if act is None else _CLASSES[act]()

    def forward(self, x):
        return x if self.act_func is None else self.act_func(x)

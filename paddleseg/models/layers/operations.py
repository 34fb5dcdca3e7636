"""Operations of Paddle as layers, so that quantisation can find them in a model."""

import paddle
import paddle.nn as nn


def _operation(name, function):
    """Return a layer class whose `forward` is a function of Paddle, with the function's parameters."""

    def forward(self, *args, **kwargs):
        return function(*args, **kwargs)

    document = f"`paddle.{function.__name__}` as a layer."
    return type(name, (nn.Layer,), {"forward": forward, "__doc__": document, "__module__": __name__})


Add = _operation("Add", paddle.add)
Subtract = _operation("Subtract", paddle.subtract)
Multiply = _operation("Multiply", paddle.multiply)
Divide = _operation("Divide", paddle.divide)
Reshape = _operation("Reshape", paddle.reshape)
Transpose = _operation("Transpose", paddle.transpose)
Concat = _operation("Concat", paddle.concat)
Flatten = _operation("Flatten", paddle.flatten)

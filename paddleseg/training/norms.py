"""What batch normalisation cannot learn from."""

import math

import paddle.nn as nn

from paddleseg.utils.logger import logger

_NORMS = (nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D, nn.BatchNorm)


def warn_of_single_values(model):
    """Let the first pass of a training warn, once, of a batch norm that gets a single value per channel.

    An example is a map that is pooled to 1 x 1, where a batch holds one image. The value is its own mean, so
    the norm gives its bias for any image; in an evaluation it does not. PyTorch refuses this case, and Paddle
    does not.

    Args:
        model: the layer that is trained. It must not be traced: the check runs within its forward pass.
    """
    warned = []

    def check(name, norm, images):
        if warned or not norm.training or images.shape[0] * math.prod(images.shape[2:]) != 1:
            return
        warned.append(name)
        logger.warning(
            f"batch_size 1: the batch norm {name!r} gets a single value per channel (1 x 1), gives its bias "
            "for any image, and answers otherwise in an evaluation; batch_size 2 would do"
        )

    for name, layer in model.named_sublayers():
        if isinstance(layer, _NORMS):
            layer.register_forward_pre_hook(lambda norm, inputs, name=name: check(name, norm, inputs[0]))

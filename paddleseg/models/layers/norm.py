"""Batch norm by the name under which PaddleSeg's model files ask for it."""

import paddle.nn as nn


def SyncBatchNorm(*args, **kwargs):
    """Return a `paddle.nn.BatchNorm2D` with these arguments.

    Nothing needs to be decided when a model is built: a training on several GPUs replaces each batch norm by
    one that is synchronised.
    """
    return nn.BatchNorm2D(*args, **kwargs)

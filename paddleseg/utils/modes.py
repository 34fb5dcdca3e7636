"""The training or eval mode of a model's layers."""

import contextlib


@contextlib.contextmanager
def modes_restored(model):
    """Restore at the end the mode of the model and of each of its layers, which may differ."""
    modes = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training

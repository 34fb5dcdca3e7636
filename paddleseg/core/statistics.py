"""What a layer holds beside its trained weights: running statistics, queues, frozen parts."""

import contextlib

import paddle

from paddleseg.core import parallel


def untrained(layer):
    """Return {key: tensor} of what no gradient reaches: buffers, and parameters that are not trained.

    Paddle's batch norm keeps its running statistics as such parameters, not as buffers.
    """
    frozen = {key: value for key, value in layer.named_parameters() if value.stop_gradient}
    return {**frozen, **{key: value for key, value in layer.named_buffers() if value is not None}}


def averaged_over_ranks(tensors):
    """Return {key: tensor} with floating-point tensors averaged over the ranks, the others as they are.

    Without synchronised batch norm every rank has seen other images; all must evaluate one model.
    """
    if parallel.num_ranks() == 1:
        return tensors
    return {
        key: parallel.sum_over_ranks(value.detach().clone()) / parallel.num_ranks()
        if paddle.is_floating_point(value)
        else value
        for key, value in tensors.items()
    }


@contextlib.contextmanager
def holding(layer, values):
    """Let `layer` hold other values meanwhile.

    Args:
        layer: a `paddle.nn.Layer`.
        values: {key of its state dict or buffers: tensor}; nothing is touched where they are its own.
    """
    own = _tensors(layer)
    swapped = {key: value for key, value in values.items() if value is not own[key]}
    kept = {key: own[key].detach().clone() for key in swapped}
    overwrite(layer, swapped)
    try:
        yield
    finally:
        overwrite(layer, kept)


@paddle.no_grad()
def overwrite(layer, values):
    """Write {key: tensor or array} into the tensors of `layer`."""
    own = _tensors(layer)
    for key, value in values.items():
        own[key].set_value(value)


def _tensors(layer):
    return {**dict(layer.named_parameters()), **dict(layer.named_buffers())}

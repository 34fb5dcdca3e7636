"""What a layer holds beside its trained weights: running statistics, queues, frozen parts."""

import contextlib

import paddle

from paddleseg import parallel


def untrained(layer):
    """Return {key: tensor} of the part of a state dict that no gradient reaches: buffers, frozen parameters.

    Paddle's batch norm keeps its running statistics as such parameters, not as buffers. And a tensor that
    `forward` leaves on a layer is a buffer to Paddle, but not one of the state dict.
    """
    trained = {id(parameter) for parameter in layer.parameters() if not parameter.stop_gradient}
    return {key: value for key, value in layer.state_dict().items() if id(value) not in trained}


def memories(layer):
    """Return the layers in `layer`, itself included, that hold what was seen before instead of statistics.

    Such a queue has the methods `begin_step()` and `end_step(good)`, by which it undoes a bad step itself
    instead of being copied in each, and it is of its rank: an average over ranks would say nothing.
    """
    return [one for one in layer.sublayers(include_self=True) if hasattr(one, "end_step")]


def of_memories(layer):
    """Return the identities of the tensors that the `memories` in `layer` hold."""
    return {id(tensor) for memory in memories(layer) for tensor in untrained(memory).values()}


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
        values: {key of its state dict: tensor}; nothing is touched where they are its own.
    """
    own = layer.state_dict()
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
    own = layer.state_dict()
    for key, value in values.items():
        own[key].set_value(value)

"""Read and replace a layer's untrained values: running statistics, queues, frozen weights."""

import contextlib

import paddle

from paddleseg import parallel


def untrained(layer):
    """Return {key: tensor} of the buffers and frozen parameters in a layer's state dict.

    The running statistics of Paddle's batch norm are frozen parameters. Tensors that `forward` sets on a
    layer are buffers, but not part of the state dict.
    """
    trained = {id(parameter) for parameter in layer.parameters() if not parameter.stop_gradient}
    return {key: value for key, value in layer.state_dict().items() if id(value) not in trained}


def memories(layer):
    """Return the layers in `layer`, itself included, that store earlier outputs, such as a queue.

    A memory has the methods `begin_step()` and `end_step(good)` and undoes a bad step itself, so that it need
    not be copied in each step. Each rank has its own; their average would mean nothing.
    """
    return [sublayer for sublayer in layer.sublayers(include_self=True) if hasattr(sublayer, "end_step")]


def of_memories(layer):
    """Return the ids of the tensors in the `memories` of `layer`."""
    return {id(tensor) for memory in memories(layer) for tensor in untrained(memory).values()}


def averaged_over_ranks(tensors):
    """Return {key: tensor} with floating-point tensors averaged over the ranks, and the others unchanged.

    Without synchronised batch norm, ranks have statistics of different images, but must evaluate one model.
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
    """Give `layer` other values within this context.

    Args:
        layer: a `paddle.nn.Layer`.
        values: {key of its state dict: tensor}; the layer's own tensors are left alone.
    """
    own = layer.state_dict()
    new = {key: value for key, value in values.items() if value is not own[key]}
    old = {key: own[key].detach().clone() for key in new}
    overwrite(layer, new)
    try:
        yield
    finally:
        overwrite(layer, old)


@paddle.no_grad()
def overwrite(layer, values):
    """Copy {key: tensor or array} into the tensors of `layer`."""
    own = layer.state_dict()
    for key, value in values.items():
        own[key].set_value(value)

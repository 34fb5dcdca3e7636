"""Save a layer as a static graph."""

import os

import numpy as np
import paddle

from paddleseg.errors import UserError, one_line
from paddleseg.graphs.converted_once import converted_once
from paddleseg.graphs.out_of_place import check_same, names_of_inplace_calls
from paddleseg.graphs.traced import run_and_forget

SMALL = (1, 3, 64, 64)  # N, C, H, W of the noise that is tried where any size will do


def save_graph(layer, folder, shape):
    """Write the static graph of a layer to a folder and return its file names, {'model': ..., 'params': ...}.

    Args:
        layer: a layer with one argument `x`, in eval mode; it runs as before afterwards.
        folder: where the files go.
        shape: the input's [N, C, H, W], -1 where any size will do.

    Raises:
        UserError: Paddle cannot make a graph of the layer, or the graph computes something else.
    """
    spec = paddle.static.InputSpec([None if size == -1 else size for size in shape], "float32", name="x")
    try:
        graph = paddle.jit.to_static(layer, input_spec=[spec], full_graph=True)
        try:
            with converted_once(), names_of_inplace_calls() as names:
                paddle.jit.save(graph, os.path.join(folder, "model"))
        finally:
            graph.forward.rollback()  # else a comparison of graph and layer would run the graph twice
        if names:
            _check(layer, names, folder, shape)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # the model may be a user's, and Paddle raises many classes
        reason = one_line(error)[-300:]
        raise UserError(f"the model cannot be made a static graph for the input {shape}: {reason}") from error
    # Paddle 3 writes its graph as JSON, Paddle 2 as .pdmodel.
    model = "model.json" if os.path.isfile(os.path.join(folder, "model.json")) else "model.pdmodel"
    return {"model": model, "params": "model.pdiparams"}


@paddle.no_grad()
def _check(layer, names, folder, shape):
    """Raise `UserError` unless a saved graph computes what the layer does, for noise of a small size."""
    x = paddle.to_tensor(np.random.default_rng(0).standard_normal(_sizes(shape)).astype("float32"))
    graph = paddle.jit.load(os.path.join(folder, "model"))
    graph.eval()
    check_same(names, layer, run_and_forget(layer, x), graph(x), "leave the in-place operations out")


def _sizes(shape):
    return [small if size == -1 else size for size, small in zip(shape, SMALL)]

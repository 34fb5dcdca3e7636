"""A layer as a static graph in files."""

import os

import paddle

from paddleseg.errors import UserError, one_line


def save_graph(exported, folder, shape):
    """Write the static graph of a layer to a folder and return its files, {'model': ..., 'params': ...}.

    Args:
        exported: a layer of one argument `x`, in eval mode; it is no graph itself afterwards.
        folder: where to.
        shape: the input's [N, C, H, W], -1 where it may be anything.

    Raises:
        UserError: it cannot be made one.
    """
    spec = paddle.static.InputSpec([None if size == -1 else size for size in shape], "float32", name="x")
    try:
        graph = paddle.jit.to_static(exported, input_spec=[spec], full_graph=True)
        try:
            paddle.jit.save(graph, os.path.join(folder, "model"))
        finally:
            graph.forward.rollback()  # or whoever compares the graph with the layer compares two graphs
    except (ValueError, TypeError, AssertionError) as error:
        told = one_line(error)[-300:]
        raise UserError(f"the model cannot be made a static graph for the input {shape}: {told}") from error
    # Paddle 3 writes its graph as JSON, Paddle 2 as .pdmodel.
    model = next(n for n in ("model.json", "model.pdmodel") if os.path.isfile(os.path.join(folder, n)))
    return {"model": model, "params": "model.pdiparams"}

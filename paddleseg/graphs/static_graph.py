"""Save a layer as a static graph."""

import os

import paddle

from paddleseg.errors import UserError, one_line


def save_graph(layer, folder, shape):
    """Write the static graph of a layer to a folder and return its file names, {'model': ..., 'params': ...}.

    Args:
        layer: a layer with one argument `x`, in eval mode; it runs as before afterwards.
        folder: where the files go.
        shape: the input's [N, C, H, W], -1 where any size will do.

    Raises:
        UserError: Paddle cannot make a graph of the layer.
    """
    spec = paddle.static.InputSpec([None if size == -1 else size for size in shape], "float32", name="x")
    try:
        graph = paddle.jit.to_static(layer, input_spec=[spec], full_graph=True)
        try:
            paddle.jit.save(graph, os.path.join(folder, "model"))
        finally:
            graph.forward.rollback()  # else a comparison of graph and layer would run the graph twice
    except (ValueError, TypeError, AssertionError) as error:
        reason = one_line(error)[-300:]
        raise UserError(f"the model cannot be made a static graph for the input {shape}: {reason}") from error
    # Paddle 3 writes its graph as JSON, Paddle 2 as .pdmodel.
    model = "model.json" if os.path.isfile(os.path.join(folder, "model.json")) else "model.pdmodel"
    return {"model": model, "params": "model.pdiparams"}

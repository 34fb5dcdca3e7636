"""Run a forward pass as a static graph, which Paddle plans once and runs without Python."""

import paddle

from paddleseg.errors import UserError, one_line
from paddleseg.graphs.converted_once import converted_once
from paddleseg.graphs.out_of_place import check_same, names_of_inplace_calls
from paddleseg.utils.modes import modes_restored


@paddle.no_grad()
def run_and_forget(model, x, run=None):
    """Return a model's output in eval mode, and remove the tensors that this pass left on its layers.

    Paddle registers a tensor that `forward` sets as an attribute as a buffer. A graph that is traced
    afterwards would read this buffer, with the values of the last input, instead of the new tensor.

    Args:
        model: a layer; it and its sublayers keep their training or eval mode.
        x: its input.
        run: a function of x that runs the model and returns the output; None for the model. Default None.
    """
    layers = model.sublayers(include_self=True)
    held = [dict(layer._buffers) for layer in layers]
    try:
        with modes_restored(model):
            model.eval()
            return (run or model)(x.clone())  # a model may overwrite its images
    finally:
        for layer, buffers in zip(layers, held):
            for name in layer._non_persistable_buffer_names_set & set(layer._buffers):
                if layer._buffers[name] is not buffers.get(name):
                    delattr(layer, name)


class Traced:
    """A function of one tensor, traced once for each shape of the tensor.

    Args:
        function: a method, or a named function whose source Paddle can read. It maps a tensor to tensors,
            possibly in lists; hooks on its layers run while it is traced.
        model: the layer that it runs, for messages.
    """

    def __init__(self, function, model):
        self._eager = function
        self._function = paddle.jit.to_static(function, full_graph=True)
        self._model = model
        self._shapes = set()

    def __call__(self, x):
        """Return the function's output.

        Raises:
            UserError: the function cannot be traced, or computes something else as a graph.
        """
        shape = tuple(x.shape)
        if shape in self._shapes:
            return self._function(x)
        run_and_forget(self._model, x)
        try:
            with converted_once(), names_of_inplace_calls() as names:
                outputs = self._function(x)
            if names:
                self._check(x, names)
        except (UserError, MemoryError):
            raise
        except Exception as error:  # the model may be a user's, and Paddle raises many classes
            raise UserError(
                f"to_static_training: Paddle {paddle.__version__} cannot make a static graph of "
                f"{type(self._model).__name__}: {one_line(error)}; train without to_static_training"
            ) from error
        self._shapes.add(shape)
        return outputs

    def _check(self, x, names):
        """Compare graph and function in eval mode, in which they draw no random numbers."""
        # A new graph: the traced one may have been cached for training mode.
        in_graph = paddle.jit.to_static(self._eager, full_graph=True)
        try:
            expected, graph = (run_and_forget(self._model, x, run) for run in (self._eager, in_graph))
        except UserError:  # a tapped layer may run in training mode alone
            return
        check_same(names, self._model, expected, graph, "train without to_static_training")

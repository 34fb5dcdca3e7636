"""A forward pass as one static graph, which Paddle plans and runs without Python."""

import paddle
import paddle.nn as nn

from paddleseg.errors import UserError, one_line
from paddleseg.losses.combine import output_list


@paddle.no_grad()
def run_and_forget(model, x):
    """Return what a model gives in evaluation, and take from its layers the tensors that this left on them.

    Paddle registers a tensor that `forward` sets as an attribute as a buffer. A graph that is traced then
    reads that buffer where `forward` reads what it has just set: it answers any input as it did the last.

    Args:
        model: a layer; whether it trains, and each of its layers, stays as it was.
        x: its input.
    """
    layers = model.sublayers(include_self=True)
    held = [(layer.training, dict(layer._buffers)) for layer in layers]
    model.eval()
    try:
        return model(x)
    finally:
        for layer, (training, buffers) in zip(layers, held):
            layer.training = training
            for name in layer._non_persistable_buffer_names_set & set(layer._buffers):
                if layer._buffers[name] is not buffers.get(name):
                    delattr(layer, name)


class Traced:
    """A function of one tensor, traced at its first call and anew for each other shape of the tensor.

    Args:
        function: a method, or a function with a name, whose source Paddle reads. It maps a tensor to tensors,
            in lists if it likes; hooks on its layers run while it is traced.
        model: the layer that it runs, for messages.
    """

    def __init__(self, function, model):
        self._function = paddle.jit.to_static(function, full_graph=True)
        self._model = model
        self._shapes = set()

    def __call__(self, x):
        """Return what the function gives.

        Raises:
            UserError: it cannot be traced.
        """
        shape = tuple(x.shape)
        if shape in self._shapes:
            return self._function(x)
        run_and_forget(self._model, x)
        try:
            outputs = self._function(x)
        except (UserError, MemoryError):
            raise
        except Exception as error:  # the model may be a user's, and Paddle refuses in many ways
            raise UserError(
                f"--to_static_training: Paddle {paddle.__version__} cannot make a static graph of "
                f"{type(self._model).__name__}: {one_line(error)}; train without that flag"
            ) from error
        self._shapes.add(shape)
        return outputs


class TracedModel(nn.Layer):
    """A model whose forward pass, called through this, is `Traced`; called by itself it is as it was.

    Args:
        model: maps N x 3 x H x W to a list of logits.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model
        self._traced = Traced(self._logits, model)

    def _logits(self, images):
        return output_list(self.model(images))

    def forward(self, x):
        return self._traced(x)

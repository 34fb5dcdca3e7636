"""A forward pass as one static graph, which Paddle plans and runs without Python."""

import paddle
import paddle.nn as nn

from paddleseg.errors import UserError, one_line
from paddleseg.models.losses.combine import output_list


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
        self._works = False

    def __call__(self, x):
        """Return what the function gives.

        Raises:
            UserError: it cannot be traced.
        """
        if self._works:
            return self._function(x)
        try:
            outputs = self._function(x)
        except (UserError, MemoryError):
            raise
        except Exception as error:  # the model may be a user's, and Paddle refuses in many ways
            raise UserError(
                f"--to_static_training: Paddle {paddle.__version__} cannot make a static graph of "
                f"{type(self._model).__name__}: {one_line(error)}; train without that flag"
            ) from error
        self._works = True
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

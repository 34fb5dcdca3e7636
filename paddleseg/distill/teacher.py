"""The frozen teacher."""

import paddle

from paddleseg.distill.adaptor import Taps
from paddleseg.models.losses.combine import output_list


class Teacher:
    """A model that only answers: in eval mode, without gradients, outside data parallelism.

    Args:
        model: its weights are frozen for good.
        adaptor_class: names the tensors that are handed out with the logits.
    """

    def __init__(self, model, adaptor_class):
        self.model = model
        model.eval()
        for parameter in model.parameters():
            parameter.stop_gradient = True
        self._taps = Taps(model, adaptor_class, "teacher")

    @paddle.no_grad()
    def __call__(self, images):
        """Return (list of logits, {name: tensor}) for images N x 3 x H x W, none with a gradient."""
        logits = output_list(self.model(images))
        return logits, self._taps.read()

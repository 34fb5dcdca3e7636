"""The frozen teachers."""

import paddle

from paddleseg.distill.outputs import counterparts
from paddleseg.distill.taps import Taps
from paddleseg.distill.weighting import confidence_weights, weighted_logits
from paddleseg.models.losses.combine import output_list


class Teacher:
    """A model that only answers: in eval mode, without gradients, outside data parallelism.

    Args:
        model: its weights are frozen for good.
        adaptor_class: names tensors that are handed out with the logits; None for none.
        declared: pairs (`Tap`, where it was written) of more such tensors.
    """

    def __init__(self, model, adaptor_class=None, declared=()):
        self.model = model
        model.eval()
        for parameter in model.parameters():
            parameter.stop_gradient = True
        self._taps = Taps(model, "teacher", adaptor_class, declared)

    @paddle.no_grad()
    def __call__(self, images):
        """Return (list of logits, {name: tensor}) for images N x 3 x H x W, none with a gradient."""
        logits = output_list(self.model(images))
        return logits, self._taps.read()


class Teachers:
    """One teacher or several, whose logits become one list.

    Args:
        teachers: list of `Teacher`.
        weighting: how several teachers' logits are joined: "mean", or "confidence", per pixel by
            `confidence_weights`; None where nobody asks for logits. Default "mean".
        ignore_index: label of pixels about which no teacher is more confident. Default 255.

    Attributes:
        teachers: the same list.
    """

    def __init__(self, teachers, weighting="mean", ignore_index=255):
        self.teachers = teachers
        self._weighting = weighting
        self._ignore_index = ignore_index

    @paddle.no_grad()
    def __call__(self, images, label=None, resting=()):
        """Return (list of logits, [{name: tensor} of each teacher]), none with a gradient.

        Args:
            images: N x 3 x H x W.
            label: M x H x W, int64, of the first M images; None if there is none.
            resting: indices of teachers whose features nobody asks for; where nobody asks for logits either,
                these are not run.

        Returns:
            The logits are None where nobody asks for them.
        """
        resting = resting if self._weighting is None else ()
        logits, features = zip(
            *(([], {}) if k in resting else teacher(images) for k, teacher in enumerate(self.teachers))
        )
        if self._weighting is None:
            return None, list(features)
        if len(logits) == 1:
            return logits[0], list(features)
        joined = [self._joined(paddle.stack(outputs), label) for outputs in counterparts(*logits)]
        return joined, list(features)

    def _joined(self, logits, label):
        weights = None
        if self._weighting == "confidence" and label is not None:
            weights = confidence_weights(logits, label, self._ignore_index)
        return weighted_logits(logits, weights)

"""The frozen teachers."""

import paddle

from paddleseg.checkpoints.resume import digest, flattened
from paddleseg.distill.outputs import at_smallest, counterparts, upsampled
from paddleseg.distill.taps import Taps
from paddleseg.distill.teachers.engines import PaddleEngine
from paddleseg.distill.teachers.weighting import confidence_weights, weighted_logits
from paddleseg.losses.labels import resize_label

_PATHS = ("pretrained", "path")  # keys of a model's section that say where its weights are


class Teacher:
    """A model that only answers: in eval mode, without gradients, outside data parallelism.

    Args:
        model: its weights are frozen for good.
        adaptor_class: names tensors that are handed out with the logits; None for none.
        declared: pairs (`Tap`, where it was written) of more such tensors.
        cfg: the `Config` that the model was built from; None for a model without one. Default None.

    Attributes:
        model: the same.
        taps: its `Taps`.
        engine: what computes, `engine(images) -> (list of logits, {name or Tap: tensor})`.
    """

    def __init__(self, model, adaptor_class=None, declared=(), cfg=None):
        self.model = model
        self._cfg = cfg
        model.eval()
        for parameter in model.parameters():
            parameter.stop_gradient = True
        self.taps = Taps(model, "teacher", adaptor_class, declared)
        self.engine = PaddleEngine(model, self.taps)

    def __call__(self, images):
        """Return (list of logits, {name: tensor}) for images N x 3 x H x W, none with a gradient."""
        logits, taps = self.at_head(images)
        return self.upsampled(logits, images.shape[2:]), taps

    def identity(self):
        """Return {key: plain value} of what decides this teacher's answers; weights by their content."""
        model = {} if self._cfg is None else {k: v for k, v in self._cfg["model"].items() if k not in _PATHS}
        weights = getattr(self.model, "digest", None) or digest(self.model)
        return {**flattened(model, "model"), "weights (SHA-256)": weights}

    def run_record(self):
        """Return what `run.yml` says of this teacher, a dict of plain values."""
        return {} if self._cfg is None else {"config": self._cfg.dic, "weights": self._cfg.pretrained}

    @paddle.no_grad()
    def at_head(self, images, keys=None):
        """Return (list of logits, {name or Tap: tensor}), the logits at the size that the head gives them.

        Args:
            images: N x 3 x H x W.
            keys: on the host, (view, index) of each of the images, for those who know their answers already;
                computing them takes none.
        """
        return self.engine(images)

    @paddle.no_grad()
    def upsampled(self, logits, size):
        """Return the list of the model's logits for images of `size`, (H, W), from those at the head."""
        return upsampled(self.model, logits, size)


class Teachers:
    """One teacher or several, whose logits become one list.

    Args:
        teachers: list of `Teacher`.
        weighting: how several teachers' logits are joined: "mean", or "confidence", per pixel by
            `confidence_weights`; None where nobody asks for logits. Default "mean".
        ignore_index: label of pixels about which no teacher is more confident. Default 255.
        at: at which size they give their logits: "full", as the models do, or "head", before their last
            upsampling. Default "full".

    Attributes:
        teachers: the same list.
    """

    def __init__(self, teachers, weighting="mean", ignore_index=255, at="full"):
        self.teachers = teachers
        self._weighting = weighting
        self._ignore_index = ignore_index
        self._at = at

    @paddle.no_grad()
    def __call__(self, images, label=None, resting=(), keys=None):
        """Return (list of logits, [{name: tensor} of each teacher]), none with a gradient.

        Args:
            images: N x 3 x H x W.
            label: M x H x W, int64, of the first M images; None if there is none.
            resting: indices of teachers whose features nobody asks for; where nobody asks for logits either,
                these are not run.
            keys: as in `Teacher.at_head`.

        Returns:
            The logits are None where nobody asks for them.
        """
        resting = resting if self._weighting is None else ()
        answers = [
            ([], {}) if k in resting else teacher.at_head(images, keys)
            for k, teacher in enumerate(self.teachers)
        ]
        features = [taps for _, taps in answers]
        if self._weighting is None:
            return None, features
        logits = [
            teacher.upsampled(outputs, images.shape[2:]) if self._at == "full" else outputs
            for teacher, (outputs, _) in zip(self.teachers, answers)
        ]
        if len(logits) == 1:
            return logits[0], features
        return [self._joined(outputs, label) for outputs in counterparts(*logits)], features

    def _joined(self, outputs, label):
        if self._at == "head":
            outputs = at_smallest(*outputs)
        logits = paddle.stack(outputs)
        weights = None
        if self._weighting == "confidence" and label is not None:
            if self._at == "head":
                label = resize_label(label, logits.shape[3:])
            weights = confidence_weights(logits, label, self._ignore_index)
        return weighted_logits(logits, weights)

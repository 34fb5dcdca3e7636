"""A frozen teacher."""

import functools

import paddle

from paddleseg import onednn
from paddleseg.checkpoints.resume import digest, flattened
from paddleseg.distill.outputs import upsampled
from paddleseg.distill.taps import Taps
from paddleseg.distill.teachers.engines import PaddleEngine
from paddleseg.distill.teachers.teacher_only import gives_logits, is_teacher_only

_PATHS = ("pretrained", "path")  # keys of a model's section that say where its weights are


class Teacher:
    """A frozen model: in eval mode, without gradients, outside data parallelism.

    Args:
        model: its weights are frozen permanently.
        adaptor_class: a class derived from `AdaptorBase`, which names tensors to return with the logits; None
            for none. Default None.
        declared: pairs (`Tap`, the place in a file that declares it) of more such tensors. Default none.
        cfg: the `Config` that the model was built from; None for a model without one. Default None.
        renormalization: the `Renormalization` of the images that it is given; None for none. Default None.

    Attributes:
        model, cfg: the same.
        taps: its `Taps`.
        engine: the `Engine` that computes its outputs, Paddle's until another one is set.
        cache: the `OutputCache` of its outputs; None unless one is set.
        teacher_only: whether its model is a `TeacherOnly`, for which no engine is chosen.
        gives_logits: whether it gives logits, and not only taps.
    """

    def __init__(self, model, adaptor_class=None, declared=(), cfg=None, renormalization=None):
        self.model = model
        self.cfg = cfg
        self._renormalization = renormalization
        model.eval()
        for parameter in model.parameters():
            parameter.stop_gradient = True
        onednn.freeze(model)
        self.taps = Taps(model, "teacher", adaptor_class, declared)
        self.engine = PaddleEngine(model, self.taps)
        self.cache = None
        self.teacher_only = is_teacher_only(model)
        self.gives_logits = gives_logits(model)

    def __call__(self, images):
        """Return (list of logits, {name or `Tap`: tensor}) for images N x 3 x H x W, without gradients."""
        logits, taps = self.at_head(images)
        return self.upsampled(logits, images.shape[2:]), taps

    @functools.cached_property
    def weights_digest(self):
        """The SHA-256 of the weights, which never change."""
        return self.model.digest if self.teacher_only else digest(self.model)

    def identity(self):
        """Return {key: plain value} of what decides its outputs: its model, weights and normalisation."""
        model = {} if self.cfg is None else {k: v for k, v in self.cfg["model"].items() if k not in _PATHS}
        # Without a conversion there is no entry, as in the runs and caches of earlier versions.
        images = {} if self._renormalization is None else self._renormalization.identity()
        return {**flattened(model, "model"), "weights (SHA-256)": self.weights_digest, **images}

    def run_record(self):
        """Return what `run.yml` records of this teacher, a dict of plain values."""
        return {} if self.cfg is None else {"config": self.cfg.dic, "weights": self.cfg.pretrained}

    @paddle.no_grad()
    def at_head(self, images, keys=None):
        """Return (list of logits, {name or `Tap`: tensor}), the logits at the size that the head gives.

        Args:
            images: N x 3 x H x W.
            keys: [view, index, checksum] of each image, as `stack_with_keys` returns them, to use the cache
                if there is one; None never uses it. Default None.
        """
        if self.cache is None or keys is None:
            return self._computed(images)
        return self.cache(images, keys, self._computed)

    @paddle.no_grad()
    def upsampled(self, logits, size):
        """Return the list of the model's logits for images of `size`, (H, W), from those at the head."""
        return upsampled(self.model, logits, size)

    def _computed(self, images):
        size = images.shape[2:]
        logits, taps = self.engine(images if self._renormalization is None else self._renormalization(images))
        return logits, self.taps.maps(taps, size)

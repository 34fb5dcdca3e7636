"""What distillation does with a batch."""

import os

import paddle.nn as nn

from paddleseg.distill.features import label_at
from paddleseg.distill.outputs import at_smallest, counterparts, left_at_head
from paddleseg.distill.teachers.teacher_cache import stack_with_keys
from paddleseg.graphs.traced import Traced
from paddleseg.losses.combine import merge_parts, output_list, weighted_losses
from paddleseg.training.step import Step, TrainedLayer
from paddleseg.utils.parts import part
from paddleseg.utils.save_dir import sha256


class DistillNet(TrainedLayer):
    """A student with all its losses: those of the task, of the logits and of the features.

    Args:
        student: images to a list of logits.
        taps: the student's `Taps`.
        loss: {'types': [...], 'coef': [...]} between logits and label.
        distill_loss: the same between the logits of student and teachers; None for none.
        feature_losses: list of `FeatureLoss`.
        at: where `distill_loss` compares: "full", at the size of the images, or "head", at that at which the
            heads give their logits (the smaller of the two), before the last upsampling. Default "full".
        to_static: whether the student's forward pass is a static graph. Default False.

    Attributes:
        extra: the losses and connectors that are trained or have a state, as one layer; None without any.
    """

    def __init__(self, student, taps, loss, distill_loss=None, feature_losses=(), at="full", to_static=False):
        distilling = [] if distill_loss is None else distill_loss["types"]
        layers = {id(item): item for item in (*feature_losses, *distilling) if isinstance(item, nn.Layer)}
        with_state = [item for item in layers.values() if item.state_dict()]
        super().__init__(student, nn.LayerList(with_state) if with_state else None)
        self.taps = taps
        self.loss = loss
        self.distill_loss = distill_loss
        self.feature_losses = list(feature_losses)
        self.at = at
        self._answers = Traced(self._answer, student) if to_static else self._answer

    @property
    def may_rest(self):
        """Whether a part of `extra` is left out of some iterations, and so gets no gradient in these."""
        return any(loss.parameters() and not loss.feature.schedule.always_on for loss in self.feature_losses)

    def forward(self, batch, teacher_logits, teacher_features):
        """Return {name: part} of scalar tensors, the parts already weighted.

        Args:
            batch: as in `DistillStep`.
            teacher_logits: list of N x C x H x W, or what the head gives; unused without `distill_loss`.
            teacher_features: [{name: tensor} of each teacher].
        """
        with part("student"):
            logits, heads, tensors = self._answers(batch["img"])
            features = dict(zip(self._names, tensors))
        with part("losses"):
            return self._losses(logits, heads, features, batch, teacher_logits, teacher_features)

    def _answer(self, images):
        """Return the lists of logits, in full and to be distilled, and the taps as `_names` lists them."""
        self.taps.clear()
        logits = output_list(self.model(images))
        features = self.taps.read()
        self._names = list(features)
        heads = logits if self.at == "full" else left_at_head(self.model, logits)
        return logits, heads, list(features.values())

    def _losses(self, logits, heads, features, batch, teacher_logits, teacher_features):
        label = batch.get("label")
        parts = {}
        if label is not None:
            parts = weighted_losses(self.loss, [(output,) for output in logits], label)
        if self.distill_loss is not None:
            merge_parts(parts, self._between_logits(heads, teacher_logits, label), "distill_")
        for loss in self.feature_losses:
            # A teacher that rests answers nothing, but then the loss does not look.
            theirs = teacher_features[loss.feature.teacher_index].get(loss.feature.teacher)
            value = loss(features[loss.feature.student], theirs, label, batch["iteration"])
            merge_parts(parts, {loss.name: value}, "feature_")
        return parts

    def _between_logits(self, logits, teacher_logits, label):
        if self.at == "full":
            return weighted_losses(self.distill_loss, counterparts(logits, teacher_logits), label)
        pairs = [at_smallest(*pair) for pair in counterparts(logits, teacher_logits)]
        return weighted_losses(self.distill_loss, pairs, [label_at(label, student) for student, _ in pairs])


class DistillStep(Step):
    """A batch to the losses of the task, of the logits and of the features.

    Args:
        net: a `DistillNet`.
        joined_teachers: `Teachers`.
        plan: the `Plan`, by whose features' schedules teachers rest.
        unlabeled_per_batch: how many images of a batch have no mask. Default 0.

    Attributes:
        engines: {"teacher k: engine": name} of the teachers, as `choose_engines` returns it.
        cache: a `CacheRecord` where teachers keep their answers and batches must say their "keys", else None.
    """

    def __init__(self, net, joined_teachers, plan, unlabeled_per_batch=0):
        super().__init__(net, find_unused_parameters=net.may_rest)
        self.unlabeled_per_batch = unlabeled_per_batch
        self.engines = {}
        self.cache = None
        self._joined_teachers = joined_teachers
        self._plan = plan

    @property
    def teachers(self):
        """The list of the `Teacher`s."""
        return self._joined_teachers.teachers

    @property
    def with_keys(self):
        """Whether samples must say their key: a cache finds a teacher's answers by it."""
        return self.cache is not None

    def __call__(self, batch):
        """Return {"loss": the sum, name: part, ...} of scalar tensors, the parts weighted.

        Args:
            batch: {"img": float32 N x C x H x W, "label": int64 M x H x W of the first M <= N images (absent
                where M is 0), "iteration": int, from 1, "keys": as in `CachedTeacher.at_head`, or absent}.
        """
        batch = dict(batch)
        keys = batch.pop("keys", None)
        resting = self._resting(batch["iteration"])
        with part("teacher"):
            answers = self._joined_teachers(batch["img"], batch.get("label"), resting, keys)
        parts = self.net(batch, *answers)
        return {"loss": sum(parts.values()), **parts}

    def collate(self, samples):
        """Return samples as one batch, with their keys where a cache needs them."""
        return stack_with_keys(samples) if self.with_keys else super().collate(samples)

    def identity(self):
        """Return what decides the result beside the student's config and the options.

        The identity of weights is their content, so their file may be moved.
        """
        parts = {}
        if self._plan.distill_file is not None:
            parts["--distill_config (SHA-256)"] = sha256(self._plan.distill_file)
        for k, teacher in enumerate(self.teachers):
            parts.update({f"teacher {k}: {key}": value for key, value in teacher.identity().items()})
        cached = self.cache.dtype if self.with_keys else None
        return {**parts, **self.engines, "--teacher_cache: dtype": cached}

    def run_record(self):
        """Return what `run.yml` says of this distillation."""
        path = self._plan.distill_file if self._plan.file_has_features else None
        of_file = {}
        if path is not None:
            of_file = {"distill_config": os.path.abspath(path), "distill_config_sha256": sha256(path)}
        return {"role": "distill", "teachers": [t.run_record() for t in self.teachers], **of_file}

    def cache_hits(self):
        """Return which share of its rows the teachers' cache had since the last call, 0 to 1, or None."""
        return self.cache.share_of_hits() if self.with_keys else None

    def _resting(self, iteration):
        """Return the indices of the teachers whose features no loss compares in an iteration."""
        asked = {f.teacher_index for f in self._plan.features if f.schedule.factor(iteration) > 0}
        return set(range(len(self.teachers))) - asked

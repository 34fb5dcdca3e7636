"""The step of distillation: what is trained, and how one batch becomes named losses."""

import os

import paddle.nn as nn

from paddleseg import onednn
from paddleseg.cvlibs.facts import LABEL_SECTIONS
from paddleseg.distill.auto_weights import AutoWeights, feature_key, gradient_norms, logits_key
from paddleseg.distill.channels import explain_channels
from paddleseg.distill.feature_loss import label_for
from paddleseg.distill.outputs import counterparts, last_head_logits, resize_to_smallest
from paddleseg.distill.teachers import stack_with_keys
from paddleseg.graphs.traced import Traced
from paddleseg.losses.combine import add_losses, compared, output_list, weighted_losses
from paddleseg.training.step import Step, TrainedLayer
from paddleseg.utils.phases import phase
from paddleseg.utils.save_dir import file_digest


class DistillNet(TrainedLayer):
    """A student with all its losses: those of the task, of the logits and of the features.

    Args:
        student: the model, images to a list of logits.
        taps: the student's `Taps`.
        loss: {'types': [...], 'coef': [...]} between logits and label; None for training without labels.
        distill_loss: the same between the logits of student and teachers; None for none. Default None.
        feature_losses: list of `FeatureLoss`. Default none.
        logits_at: where `distill_loss` compares logits: "full", at the size of the images, or "head", before
            the last upsampling, at the smaller size of the two heads. Default "full".
        to_static: whether the student's forward pass is a static graph. Default False.
        place: `place(*keys)` returns where a key of `distill_loss` is written, for messages. Default None.

    Attributes:
        auto_weights: the `AutoWeights`.
        extra: the connectors and losses that have parameters or buffers, as one layer; None without any.
    """

    def __init__(
        self,
        student,
        taps,
        loss,
        distill_loss=None,
        feature_losses=(),
        logits_at="full",
        to_static=False,
        place=None,
    ):
        # Not those of `loss`: as in plain training, a loss of the task has no state that a checkpoint stores.
        losses = [*feature_losses, *([] if distill_loss is None else distill_loss["types"])]
        layers = dict.fromkeys(item for item in losses if isinstance(item, nn.Layer))  # each one once
        with_state = [layer for layer in layers if layer.state_dict()]
        super().__init__(student, nn.LayerList(with_state) if with_state else None)
        # The losses stay in dicts and a list, in which Paddle does not see layers; else it would register
        # those of `extra` twice.
        self.taps = taps
        self.loss = loss
        # With a list of weights of its own, which `auto_weights` fills.
        self.distill_loss = distill_loss and {**distill_loss, "coef": list(distill_loss["coef"])}
        self.feature_losses = list(feature_losses)
        self.logits_at = logits_at
        self.auto_weights = AutoWeights(self, place)
        self._student = Traced(self._run_student, student) if to_static else self._run_student

    @property
    def has_unused_parameters(self):
        """Whether some parameters get no gradient: a feature loss's where it is off, or those of a head."""
        if self.loss is None and self.distill_loss is None:
            return True
        return any(loss.parameters() and not loss.feature.schedule.always_on for loss in self.feature_losses)

    def forward(self, batch, teacher_logits, teacher_features):
        """Return {name: loss} of scalar tensors, each times its weight.

        Args:
            batch: as in `DistillStep`. A loss that needs a label gets only the M images that have one; see
                `compare`.
            teacher_logits: list of N x C x H x W, or of the heads' size; unused without `distill_loss`.
            teacher_features: [{name or Tap: tensor} of each teacher].
        """
        with phase("student"):
            logits, to_compare, tensors = self._student(batch["img"])
            features = self.taps.maps(dict(zip(self._tap_names, tensors)), batch["img"].shape[2:])
        with phase("losses"):
            label = batch.get("label")
            losses = {}
            if label is not None:
                losses = weighted_losses(self.loss, [(output,) for output in logits], label)
            if self.distill_loss is not None:
                coef = self.distill_loss["coef"]
                add_losses(losses, self._logit_losses(to_compare, teacher_logits, label, coef), "distill_")
            for loss in self.feature_losses:
                # A teacher that was not run has no tensors; by their schedule its losses are then 0.
                teacher = teacher_features[loss.feature.teacher_index].get(loss.feature.teacher)
                value = loss(features[loss.feature.student], teacher, label, batch["iteration"])
                add_losses(losses, {loss.name: value}, "feature_")
            return losses

    @onednn.paddle_alone()
    def gradient_norms(self, batch, teacher_logits, teacher_features, scaled):
        """Return {key: (norm of the task's gradient, norm of the loss's)} for each weight that is `auto`.

        Args:
            batch, teacher_logits, teacher_features: as `forward` takes them.
            scaled: as in `auto_weights.gradient_norms`.
        """
        # A static graph gives logits and tapped tensors side by side, and no gradient from one to the other.
        # Nor does the task's loss depend on a map that a tap has made of tokens, but on the tokens.
        logits, to_compare, tapped = self._logits_and_taps(batch["img"])
        features = self.taps.maps(self.taps.maps_by_model(tapped), batch["img"].shape[2:])
        label = batch["label"]
        task = sum(weighted_losses(self.loss, [(output,) for output in logits], label).values())
        losses = {}
        if self.distill_loss is not None:
            ones = [1.0] * len(self.distill_loss["types"])
            values = self._logit_losses(to_compare, teacher_logits, label, ones).values()
            at_head = compared(self.distill_loss, last_head_logits(self.model, logits))
            losses.update({logits_key(i): pair for i, pair in enumerate(zip(at_head, values))})
        for loss in self.feature_losses:
            student = features[loss.feature.student]
            teacher = teacher_features[loss.feature.teacher_index][loss.feature.teacher]
            if feature_key(loss) in self.auto_weights.keys:
                value = loss.unweighted(*loss.connect(student, teacher), label)
                losses[feature_key(loss)] = tapped[loss.feature.student], value
        measured = {key: pair for key, pair in losses.items() if key in self.auto_weights.keys}
        return gradient_norms(task, measured, scaled)

    def _run_student(self, images):
        """Return the logits, the logits that `distill_loss` compares, and the tapped tensors, three lists."""
        logits, to_compare, tapped = self._logits_and_taps(images)
        features = self.taps.maps_by_model(tapped)
        # A static graph returns tensors only, so their names are stored here.
        self._tap_names = list(features)
        return logits, to_compare, list(features.values())

    def _logits_and_taps(self, images):
        """Return the logits, the logits that `distill_loss` compares, and what `read_unmapped` returns."""
        self.taps.clear()
        logits = output_list(self.model(images))
        tapped = self.taps.read_unmapped()
        to_compare = logits if self.logits_at == "full" else last_head_logits(self.model, logits)
        return logits, to_compare, tapped

    def _logit_losses(self, logits, teacher_logits, label, coef):
        """Return {name: loss} of the student's and the teachers' logits, each times its coefficient."""
        section = {"types": self.distill_loss["types"], "coef": coef}
        pairs = compared(self.distill_loss, counterparts(logits, teacher_logits))
        if self.logits_at == "full":
            return weighted_losses(section, pairs, label)
        # At the heads, each pair has a size of its own, and so needs a label of that size.
        pairs = [resize_to_smallest(*pair) for pair in pairs]
        labels = [label_for(loss, label, student) for loss, (student, _) in zip(section["types"], pairs)]
        return weighted_losses(section, pairs, labels)


class DistillStep(Step):
    """One batch to the losses of the task, of the logits and of the features.

    Args:
        net: a `DistillNet`.
        teachers: the `Teachers`.
        unlabeled_per_batch: how many images of a batch have no mask. Default 0.
        distill_file: the path of the distill_config.py; None without one. Default None.
        trains_logits: as in `Step`. Default True.

    `build_step` sets both attributes after construction.

    Attributes:
        engines: {"teacher k: engine": name} of the teachers, as `choose_engines` returns it.
        cache: the `CacheRecord` of the teachers' caches, which find outputs by the "keys" of a batch; None
            without caches.
    """

    def __init__(self, net, teachers, unlabeled_per_batch=0, distill_file=None, trains_logits=True):
        super().__init__(net, find_unused_parameters=net.has_unused_parameters)
        self.unlabeled_per_batch = unlabeled_per_batch
        self.trains_logits = trains_logits
        # Without labels, a training prepares a backbone for another one, which has labels.
        self.saves_backbone = net.loss is None
        self.unread_sections = LABEL_SECTIONS if net.loss is None else ()
        self.engines = {}
        self.cache = None
        self._teachers = teachers
        self._features = [loss.feature for loss in net.feature_losses]
        self._distill_file = distill_file

    @property
    def teachers(self):
        """The list of the `Teacher`s."""
        return self._teachers.teachers

    @property
    def with_keys(self):
        """Whether each sample must hold its key, by which the teachers' caches find its outputs."""
        return self.cache is not None

    def __call__(self, batch):
        """Return {"loss": the sum, name: loss, ...} of scalar tensors, each loss times its weight.

        Args:
            batch: {"img": float32 N x C x H x W, "label": int64 M x H x W of the first M <= N images (absent
                where M is 0), "iteration": int, from 1, "keys": as `stack_with_keys` returns them (absent
                without a cache)}.
        """
        batch = dict(batch)
        keys = batch.pop("keys", None)
        without_features = self._teachers_without_features(batch["iteration"])
        with explain_channels(batch["img"], self.trained.model):
            with phase("teacher"):
                logits, features = self._teachers(batch["img"], batch.get("label"), without_features, keys)
            losses = self.net(batch, logits, features)
        return {"loss": sum(losses.values()), **losses}

    @property
    def unmeasured(self):
        """Whether a weight of a loss is `auto` and not known yet."""
        return self.trained.auto_weights.missing

    def take_measured(self, values):
        """Use the weights of losses that a checkpoint holds."""
        self.trained.auto_weights.take(values)

    def measure(self, batch, scaled):
        """Measure the gradients of the losses whose weights are `auto`.

        Args:
            batch: as `__call__` takes it.
            scaled: as in `auto_weights.gradient_norms`.
        """
        batch = dict(batch)
        keys = batch.pop("keys", None)
        with explain_channels(batch["img"], self.trained.model):
            logits, features = self._teachers(batch["img"], batch.get("label"), (), keys)
            norms = self.trained.gradient_norms(batch, logits, features, scaled)
        self.trained.auto_weights.add(norms)

    def settle(self):
        """Compute the weights from what was measured, and log them."""
        self.trained.auto_weights.settle()

    def measured(self):
        """Return the weights that were `auto`, {key: number}."""
        return dict(self.trained.auto_weights.values)

    def _teachers_without_features(self, iteration):
        """Return the indices of the teachers whose features no loss compares in an iteration.

        `Teachers` runs them nevertheless if their logits are distilled.
        """
        used = {f.teacher_index for f in self._features if f.schedule.factor(iteration) > 0}
        return set(range(len(self.teachers))) - used

    def collate(self, samples):
        """Return samples as one batch, with their keys if a cache needs them."""
        return stack_with_keys(samples) if self.with_keys else super().collate(samples)

    def identity(self):
        """Return {key: plain value} of what decides the result, in addition to config and options.

        Files count by their content, so they may be moved.
        """
        identity = {}
        if self._distill_file is not None:
            identity["--distill_config (SHA-256)"] = file_digest(self._distill_file)
        for k, teacher in enumerate(self.teachers):
            identity.update({f"teacher {k}: {key}": value for key, value in teacher.identity().items()})
        cache_dtype = self.cache.dtype if self.with_keys else None
        return {**identity, **self.engines, "--teacher_cache: dtype": cache_dtype}

    def run_record(self):
        """Return the entries of `run.yml`, with the distill_config.py if a feature uses its adaptors."""
        record = {"role": "distill", "teachers": [teacher.run_record() for teacher in self.teachers]}
        path = self._distill_file
        if path is not None and any(feature.uses_adaptor for feature in self._features):
            record.update(distill_config=os.path.abspath(path), distill_config_sha256=file_digest(path))
        return record

    def take_cache_hit_rate(self):
        """Return the share of lookups, 0 to 1, that found their row in a cache, and start counting again.

        None without caches or lookups.
        """
        return self.cache.take_hit_rate() if self.with_keys else None

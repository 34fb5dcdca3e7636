"""What distillation does with a batch."""

import paddle.nn as nn

from paddleseg.distill.features import label_at
from paddleseg.distill.outputs import at_smallest, counterparts, left_at_head
from paddleseg.models.losses.combine import merge_parts, output_list, weighted_losses


class DistillNet(nn.Layer):
    """All that is trained as one layer, which is what data parallelism wraps: images in, losses out.

    Args:
        student: images to a list of logits.
        taps: the student's `Taps`.
        loss: {'types': [...], 'coef': [...]} between logits and label.
        distill_loss: the same between the logits of student and teachers; None for none.
        feature_losses: list of `FeatureLoss`.
        at: where `distill_loss` compares: "full", at the size of the images, or "head", at that at which the
            heads give their logits (the smaller of the two), before the last upsampling. Default "full".

    Attributes:
        extra: what is trained or has a state beside the student, as one layer; None if nothing has.
    """

    def __init__(self, student, taps, loss, distill_loss=None, feature_losses=(), at="full"):
        super().__init__()
        self.student = student
        self.taps = taps
        self.loss = loss
        self.distill_loss = distill_loss
        self.feature_losses = list(feature_losses)
        self.at = at
        distilling = [] if distill_loss is None else distill_loss["types"]
        layers = {id(item): item for item in (*feature_losses, *distilling) if isinstance(item, nn.Layer)}
        with_state = [item for item in layers.values() if item.state_dict()]
        self.extra = nn.LayerList(with_state) if with_state else None

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
        label = batch.get("label")
        self.taps.clear()
        logits = output_list(self.student(batch["img"]))
        features = self.taps.read()

        parts = {}
        if label is not None:
            parts = weighted_losses(self.loss, [(output,) for output in logits], label)
        if self.distill_loss is not None:
            merge_parts(parts, self._between_logits(logits, teacher_logits, label), "distill_")
        for loss in self.feature_losses:
            # A teacher that rests answers nothing, but then the loss does not look.
            theirs = teacher_features[loss.feature.teacher_index].get(loss.feature.teacher)
            value = loss(features[loss.feature.student], theirs, label, batch["iteration"])
            merge_parts(parts, {loss.name: value}, "feature_")
        return parts

    def _between_logits(self, logits, teacher_logits, label):
        if self.at == "full":
            return weighted_losses(self.distill_loss, counterparts(logits, teacher_logits), label)
        heads = counterparts(left_at_head(self.student, logits), teacher_logits)
        pairs = [at_smallest(*pair) for pair in heads]
        return weighted_losses(self.distill_loss, pairs, [label_at(label, student) for student, _ in pairs])


class DistillStep:
    """A batch to the losses of the task, of the logits and of the features.

    Args:
        net: a `DistillNet`, or its data-parallel wrapper.
        teachers: `Teachers`.
        extra: what the optimizer and the checkpoints take beside the student; None for nothing.
        features: list of the `Feature`s that are compared, by whose schedules teachers rest.

    Attributes:
        cache: a `CacheRecord` where teachers keep their answers and batches must say their 'keys', else None.
    """

    def __init__(self, net, teachers, extra=None, features=None):
        self.net = net
        self.teachers = teachers
        self.extra = extra
        self._features = features
        self.cache = None

    def __call__(self, batch):
        """Return {'loss': total, name: part, ...} of scalar tensors, the parts already weighted.

        Args:
            batch: {'img': float32 N x 3 x H x W, 'label': int64 M x H x W of the first M <= N images (absent
                where M is 0), 'iteration': int, from 1, 'keys': as in `CachedTeacher.at_head`, or absent}.
        """
        batch = dict(batch)
        keys = batch.pop("keys", None)
        answers = self.teachers(batch["img"], batch.get("label"), self._resting(batch["iteration"]), keys)
        parts = self.net(batch, *answers)
        return {"loss": sum(parts.values()), **parts}

    def _resting(self, iteration):
        """Return the indices of the teachers of whom no feature is compared in an iteration."""
        if self._features is None:
            return ()
        asked = {f.teacher_index for f in self._features if f.schedule.factor(iteration) > 0}
        return set(range(len(self.teachers.teachers))) - asked

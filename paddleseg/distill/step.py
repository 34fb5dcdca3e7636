"""What distillation does with a batch."""

from paddleseg.models.losses.combine import output_list, weighted_losses


class DistillStep:
    """A batch to the losses of the task, of the logits and of the features.

    Args:
        net: the student, or its data-parallel wrapper: images to a list of logits.
        taps: the student's `Taps`.
        teacher: a `Teacher`.
        loss: {'types': [...], 'coef': [...]} between logits and label.
        distill_loss: the same between the logits of both models; None for none.
        feature_losses: list of `FeatureLoss`.
    """

    def __init__(self, net, taps, teacher, loss, distill_loss, feature_losses):
        self.net = net
        self.taps = taps
        self.teacher = teacher
        self.loss = loss
        self.distill_loss = distill_loss
        self.feature_losses = feature_losses

    def __call__(self, batch):
        """Return {'loss': total, name: part, ...} of scalar tensors, the parts already weighted.

        Args:
            batch: {'img': float32 N x 3 x H x W, 'label': int64 N x H x W}.
        """
        images, label = batch["img"], batch["label"]
        teacher_logits, teacher_taps = self.teacher(images)
        student_logits = output_list(self.net(images))
        student_taps = self.taps.read()

        parts = weighted_losses(self.loss, [(logits,) for logits in student_logits], label)
        if self.distill_loss is not None:
            pairs = list(zip(student_logits, teacher_logits))
            parts.update(weighted_losses(self.distill_loss, pairs, label))
        for feature_loss in self.feature_losses:
            parts[feature_loss.name] = feature_loss(student_taps, teacher_taps)
        return {"loss": sum(parts.values()), **parts}

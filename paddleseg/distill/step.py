"""What distillation does with a batch."""

from paddleseg.distill.outputs import compared_outputs
from paddleseg.models.losses.combine import merge_parts, output_list, weighted_losses


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
            pairs = compared_outputs(student_logits, teacher_logits)
            merge_parts(parts, weighted_losses(self.distill_loss, pairs, label), "distill_")
        for feature_loss in self.feature_losses:
            value = feature_loss(student_taps, teacher_taps)
            merge_parts(parts, {feature_loss.name: value}, "feature_")
        return {"loss": sum(parts.values()), **parts}

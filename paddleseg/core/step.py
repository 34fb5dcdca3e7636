"""What plain training does with a batch."""

from paddleseg.models.losses.combine import output_list, weighted_losses
from paddleseg.utils.parts import part


class SupervisedStep:
    """A batch to the losses of the task.

    Args:
        net: maps N x 3 x H x W to a list of logits N x C x H x W; the model, or its data-parallel wrapper.
        loss: {'types': [...], 'coef': [...]}, one for each of the logits.
    """

    def __init__(self, net, loss):
        self.net = net
        self.loss = loss

    def __call__(self, batch):
        """Return {'loss': total, name: part, ...} of scalar tensors, the parts already weighted.

        Args:
            batch: {'img': float32 N x 3 x H x W, 'label': int64 N x H x W}.
        """
        with part("student"):
            outputs = [(logits,) for logits in output_list(self.net(batch["img"]))]
        with part("losses"):
            parts = weighted_losses(self.loss, outputs, batch["label"])
        return {"loss": sum(parts.values()), **parts}

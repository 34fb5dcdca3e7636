"""Losses, each a pure function and a thin registered class that holds its hyperparameters.

A loss class says in its attribute `against` what its second argument is:

- `"label"`: called `(logits, label)`, a task loss, for a config's `loss`;
- `"teacher"`: called `(student, teacher, ...)`, a distillation loss, for a config's `distill_loss`.

The config checker refuses a class of the one kind in the place of the other. A class without the
attribute, such as a user's own, is trusted to be in its place.
"""

from paddleseg.models.losses.channelwise import SegChannelwiseLoss, channelwise_loss
from paddleseg.models.losses.cross_entropy import CrossEntropyLoss, cross_entropy_loss
from paddleseg.models.losses.kl import KLLoss, kl_loss

__all__ = [
    "CrossEntropyLoss",
    "KLLoss",
    "SegChannelwiseLoss",
    "channelwise_loss",
    "cross_entropy_loss",
    "kl_loss",
]

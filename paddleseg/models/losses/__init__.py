"""Losses, each a pure function and a thin registered class that holds its hyperparameters.

A loss class says in its attribute `against` what its second argument is:

- `"label"`: called `(logits, label)`, a task loss, for a config's `loss`;
- `"teacher"`: called `(student, teacher, ...)`, a distillation loss, for a config's `distill_loss`.

The config checker refuses a class of the one kind in the place of the other. A class without the
attribute, such as a user's own, is trusted to be in its place.
"""

from paddleseg.models.losses.binary_cross_entropy import BCELoss, bce_loss
from paddleseg.models.losses.channelwise import SegChannelwiseLoss, channelwise_loss
from paddleseg.models.losses.cross_entropy import CrossEntropyLoss, cross_entropy_loss
from paddleseg.models.losses.dice import DiceLoss, dice_loss
from paddleseg.models.losses.focal import FocalLoss, MultiClassFocalLoss, focal_loss, multi_class_focal_loss
from paddleseg.models.losses.kl import KLLoss, kl_loss
from paddleseg.models.losses.lovasz import LovaszSoftmaxLoss, lovasz_softmax_loss
from paddleseg.models.losses.mixed import MixedLoss
from paddleseg.models.losses.ohem import OhemCrossEntropyLoss, ohem_cross_entropy_loss
from paddleseg.models.losses.rmi import RMILoss, rmi_loss

__all__ = [
    "BCELoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "KLLoss",
    "LovaszSoftmaxLoss",
    "MixedLoss",
    "MultiClassFocalLoss",
    "OhemCrossEntropyLoss",
    "RMILoss",
    "SegChannelwiseLoss",
    "bce_loss",
    "channelwise_loss",
    "cross_entropy_loss",
    "dice_loss",
    "focal_loss",
    "kl_loss",
    "lovasz_softmax_loss",
    "multi_class_focal_loss",
    "ohem_cross_entropy_loss",
    "rmi_loss",
]

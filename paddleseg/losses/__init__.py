"""Losses, against labels and against teachers: each a pure function and a class with its hyperparameters.

The attribute `against` of a loss class names its second argument:

- `"label"`: called `(logits, label)`, a task loss, for a config's `loss`;
- `"teacher"`: called `(student, teacher, ...)`, a distillation loss, for a config's `distill_loss`.

The config checker refuses a class of one kind in the place of the other. A class without the attribute, such
as a user's own, may stand in either place.

A distillation loss may take a label as its third argument. With the attribute `needs_label = True` it
requires the label; otherwise it may be called without. Between features, and between logits at the head, it
gets the label at the size of these tensors; with the attribute `resizes_label = True`, at the images' size.

A pixel is valid if its label is not `ignore_index`, or if there is no label. Every function computes in
float32 at least: float16 and bfloat16 inputs are widened.
"""

from paddleseg.losses.afdcd import AfDCDLoss, afdcd_loss
from paddleseg.losses.attention_transfer import ATLoss, attention_transfer_loss
from paddleseg.losses.attnfd import AttnFDLoss, attnfd_loss
from paddleseg.losses.binary_cross_entropy import BCELoss, bce_loss
from paddleseg.losses.bpkd import BPKDLoss, bpkd_loss
from paddleseg.losses.channelwise import SegChannelwiseLoss, channelwise_loss
from paddleseg.losses.cirkd import CIRKDMiniBatchLoss, cirkd_mini_batch_loss
from paddleseg.losses.cirkd_memory import CIRKDMemoryLoss, cirkd_memory_loss
from paddleseg.losses.cross_entropy import CrossEntropyLoss, cross_entropy_loss
from paddleseg.losses.dice import DiceLoss, dice_loss
from paddleseg.losses.dist import DISTLoss, dist_loss
from paddleseg.losses.fitnet import FitNetLoss, fitnet_loss
from paddleseg.losses.focal import FocalLoss, MultiClassFocalLoss, focal_loss, multi_class_focal_loss
from paddleseg.losses.ifvd import IFVDLoss, ifvd_loss
from paddleseg.losses.kl import KLLoss, kl_loss
from paddleseg.losses.lovasz import LovaszSoftmaxLoss, lovasz_softmax_loss
from paddleseg.losses.mgd import MGDLoss, mgd_loss
from paddleseg.losses.mixed import MixedLoss
from paddleseg.losses.nfd import NFDLoss, nfd_loss
from paddleseg.losses.ohem import OhemCrossEntropyLoss, ohem_cross_entropy_loss
from paddleseg.losses.pairwise import SegPairWiseLoss, pairwise_loss
from paddleseg.losses.rmi import RMILoss, rmi_loss

__all__ = [
    "ATLoss",
    "AfDCDLoss",
    "AttnFDLoss",
    "BCELoss",
    "BPKDLoss",
    "CIRKDMemoryLoss",
    "CIRKDMiniBatchLoss",
    "CrossEntropyLoss",
    "DISTLoss",
    "DiceLoss",
    "FitNetLoss",
    "FocalLoss",
    "IFVDLoss",
    "KLLoss",
    "LovaszSoftmaxLoss",
    "MGDLoss",
    "MixedLoss",
    "MultiClassFocalLoss",
    "NFDLoss",
    "OhemCrossEntropyLoss",
    "RMILoss",
    "SegChannelwiseLoss",
    "SegPairWiseLoss",
    "afdcd_loss",
    "attention_transfer_loss",
    "attnfd_loss",
    "bce_loss",
    "bpkd_loss",
    "channelwise_loss",
    "cirkd_memory_loss",
    "cirkd_mini_batch_loss",
    "cross_entropy_loss",
    "dice_loss",
    "dist_loss",
    "fitnet_loss",
    "focal_loss",
    "ifvd_loss",
    "kl_loss",
    "lovasz_softmax_loss",
    "mgd_loss",
    "multi_class_focal_loss",
    "nfd_loss",
    "ohem_cross_entropy_loss",
    "pairwise_loss",
    "rmi_loss",
]

"""Every distillation loss on feature maps with its reference, so that what holds for all is tested once."""

import method_reference as reference
import numpy as np
from loss_reference import divergence

from paddleseg import losses

NUM_CLASSES = 4


def state_of(loss):
    return {name: value.numpy() for name, value in loss.state_dict().items()}


class Method:
    """One loss and its reference.

    Args:
        build: function (channels of the student, of the teacher) -> loss.
        expected: function (loss, student, teacher, label) -> float, the formula in float64. Read after the
            loss has been called, so that it may look at the loss's state.
        masks: whether a label leaves pixels out.
        any_channels: whether student and teacher may differ in channels.
    """

    def __init__(self, name, build, expected, masks=True, any_channels=True):
        self.name, self.build, self.expected = name, build, expected
        self.masks, self.any_channels = masks, any_channels

    def __repr__(self):
        return self.name

    @property
    def loss_class(self):
        return getattr(losses, self.name)

    def call(self, loss, student, teacher, label):
        return loss(student, teacher, label) if self.masks else loss(student, teacher)


def _channelwise(loss, s, t, label):
    kept = reference.kept_pixels(s, label)
    values = [
        divergence(s[n, c][kept[n]], t[n, c][kept[n]], 0, 4.0)
        for n, c in np.ndindex(*s.shape[:2])
        if kept[n].any()
    ]
    return np.mean(values) if values else 0.0


def _kl(loss, s, t, label):
    kept = reference.kept_pixels(s, label)
    if not kept.any():
        return 0.0
    return divergence(reference.vectors(s)[kept], reference.vectors(t)[kept], 1, 1.0).mean() / s.shape[1]


def _memory(loss, s, t, label):
    state = state_of(loss)
    projected = reference.projection(s, state)
    # The sample is the whole of each queue, in an order that changes nothing.
    pixels, regions = (
        reference.cirkd_memory(projected, t, state[f"{queue}.vectors"], label)
        for queue in ("pixels", "regions")
    )
    return 0.1 * pixels + 0.1 * regions


def _memory_loss(student_channels, teacher_channels):
    return losses.CIRKDMemoryLoss(
        NUM_CLASSES, student_channels, teacher_channels, pixel_memory_size=20, region_memory_size=3
    )


METHODS = [
    Method("KLLoss", lambda s, t: losses.KLLoss(), _kl, any_channels=False),
    Method("SegChannelwiseLoss", lambda s, t: losses.SegChannelwiseLoss(), _channelwise, any_channels=False),
    Method(
        "DISTLoss",
        lambda s, t: losses.DISTLoss(),
        lambda loss, s, t, label: reference.dist(s, t, label),
        any_channels=False,
    ),
    Method(
        "SegPairWiseLoss",
        lambda s, t: losses.SegPairWiseLoss(),
        lambda loss, s, t, label: reference.pairwise(s, t),
        masks=False,
    ),
    Method(
        "IFVDLoss",
        lambda s, t: losses.IFVDLoss(NUM_CLASSES),
        lambda loss, s, t, label: reference.ifvd(s, t, label, NUM_CLASSES),
    ),
    Method(
        "ATLoss",
        lambda s, t: losses.ATLoss(),
        lambda loss, s, t, label: reference.attention_transfer(s, t, label),
    ),
    Method(
        "FitNetLoss",
        lambda s, t: losses.FitNetLoss(),
        lambda loss, s, t, label: reference.fitnet(s, t, label),
        any_channels=False,
    ),
    Method(
        "MGDLoss",
        lambda s, t: losses.MGDLoss(s, t, mask_ratio=0.0),
        lambda loss, s, t, label: reference.mgd(s, t, label, state_of(loss), 1.0, 2e-5),
    ),
    Method(
        "AttnFDLoss",
        lambda s, t: losses.AttnFDLoss(s, t),
        lambda loss, s, t, label: reference.attnfd(s, t, state_of(loss)),
        masks=False,
    ),
    Method(
        "CIRKDMiniBatchLoss",
        lambda s, t: losses.CIRKDMiniBatchLoss(),
        lambda loss, s, t, label: reference.cirkd_mini_batch(s, t, label),
    ),
    Method("CIRKDMemoryLoss", _memory_loss, _memory),
]

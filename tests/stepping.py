"""Steps of distillation of tiny nets, a batch for them, and what their formulas need in NumPy."""

import numpy as np
import paddle

from paddleseg.distill import AdaptorBase
from paddleseg.distill.features import AdaptorName, Feature
from paddleseg.distill.step import DistillNet, DistillStep
from paddleseg.distill.taps import Taps
from paddleseg.distill.teachers import Teacher, Teachers
from paddleseg.losses import CrossEntropyLoss

RNG = np.random.default_rng(11)
BATCH = {
    "img": paddle.to_tensor(RNG.standard_normal((2, 3, 6, 5)).astype("float32")),
    "label": paddle.to_tensor(RNG.integers(0, 2, (2, 6, 5))),
    "iteration": 1,
}
SHAPE = [2, 4, 6, 5]  # of the tensor that `Body` names, of a `TinyNet` for this batch


class Body(AdaptorBase):
    """Names the first layer of a model."""

    def mapping_layers(self):
        return {"hidden_0": "body.0"}


def section(*losses, coef=1):
    """Return the section `loss` or `distill_loss` of a config as the builder gives it."""
    return {"types": list(losses), "coef": [coef] * len(losses)}


def feature(loss="L2Loss", **changes):
    """Return a `Feature` between the two tensors that `Body` names; `loss` may be a name or a section."""
    loss = {"type": loss} if isinstance(loss, str) else loss
    hidden = AdaptorName("hidden_0")
    changes = {"connector": "none", **changes}
    return Feature(hidden, hidden, loss, place=lambda *keys: "c.yml", **changes)


def make_net(student, feature_losses=(), distill_loss=None, loss=None, logits_at="full"):
    """Return a `DistillNet`; the losses are of `section`, the task's a `CrossEntropyLoss` by default."""
    taps = Taps(student, "student", Body if feature_losses else None)
    return DistillNet(
        student, taps, loss or section(CrossEntropyLoss()), distill_loss, feature_losses, logits_at
    )


def make_step(student, teachers, feature_losses=(), distill_loss=None, weighting="mean", **more):
    """Return a `DistillStep` of a student under a list of teachers; `more` is as in `make_net`."""
    net = make_net(student, feature_losses, distill_loss, **more)
    adaptor = Body if feature_losses else None
    joined = Teachers([Teacher(teacher, adaptor) for teacher in teachers], weighting, logits_at=net.logits_at)
    return DistillStep(net, joined)


def log_softmax(x, axis):
    """Return the logarithm of the softmax of an array over an axis."""
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def confidences(logits, label, ignored=None):
    """Return K x N x 1 x H x W: how much each of two teachers' logits counts by the formula for two."""
    true_class = np.where(label == ignored, 0, label)[None, :, None].repeat(2, 0)
    p = np.take_along_axis(np.exp(log_softmax(logits, 2)), true_class, 2)
    return np.where((label == ignored)[None, :, None], 0.5, p / p.sum(0))

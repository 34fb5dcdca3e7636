"""A step of distillation of two tiny nets, and the batch that it is given."""

import numpy as np
import paddle

from paddleseg.distill import AdaptorBase
from paddleseg.distill.distill_file import as_feature
from paddleseg.distill.features import FeatureLoss
from paddleseg.distill.step import DistillNet, DistillStep
from paddleseg.distill.taps import Taps
from paddleseg.distill.teachers.teacher import Teacher, Teachers
from paddleseg.losses import CrossEntropyLoss


class Body(AdaptorBase):
    def mapping_layers(self):
        return {"hidden_0": "body.0"}


RNG = np.random.default_rng(11)
BATCH = {
    "img": paddle.to_tensor(RNG.standard_normal((2, 3, 6, 5)).astype("float32")),
    "label": paddle.to_tensor(RNG.integers(0, 2, (2, 6, 5))),
    "iteration": 1,
}


def log_softmax(x, axis):
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def make(student, teacher, distill_loss, features, loss=None):
    loss = loss or {"types": [CrossEntropyLoss()], "coef": [2]}
    shape = [2, 4, 6, 5]
    losses = [FeatureLoss(as_feature(feature, "d.py", 0), shape, shape) for feature in features]
    net = DistillNet(student, Taps(student, "student", Body), loss, distill_loss, losses)
    return DistillStep(net, Teachers([Teacher(teacher, Body)]), net.extra)

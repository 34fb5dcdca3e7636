"""Outputs of a model and their losses: also outputs that are lists or dicts, for a loss of their own."""

import paddle
import paddle.nn as nn
import pytest

from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss
from paddleseg.losses.combine import output_list, weighted_losses

LABEL = paddle.zeros([2, 4, 4], "int64")


class PointLoss(nn.Layer):
    """A loss of a pair: logits and places."""

    def forward(self, output, label):
        logits, places = output
        return logits.mean() + places.sum()


class SegmentLoss(nn.Layer):
    """A loss of a dict."""

    def forward(self, output, label):
        return output["seg"].mean()


def test_a_loss_of_its_own_gets_a_pair_or_a_dict_in_full_precision():
    half = paddle.full([2, 3, 4, 4], 0.5, "float16")
    outputs = output_list([half, [half, paddle.ones([2])], {"seg": half}], nested=True)
    section = {"types": [CrossEntropyLoss(), PointLoss(), SegmentLoss()], "coef": [0, 2, 4]}
    losses = weighted_losses(section, [(output,) for output in outputs], LABEL)
    assert float(losses["PointLoss"]) == 2 * (0.5 + 2)
    assert float(losses["SegmentLoss"]) == 2
    assert losses["SegmentLoss"].dtype == paddle.float32


def test_such_outputs_are_refused_where_no_loss_takes_them():
    logits = paddle.rand([2, 3, 4, 4])
    section = {"types": [CrossEntropyLoss()], "coef": [1]}
    with pytest.raises(
        UserError, match="output 0 of the model is a list for a loss of its own, but the config"
    ):
        weighted_losses(section, [([logits],)], LABEL)
    with pytest.raises(
        UserError, match="a model must return a tensor or a list of tensors of logits, not dict"
    ):
        output_list([{"seg": logits}])


@pytest.mark.parametrize("output", [[], {}, ["text"], {"seg": 3}, "text"])
def test_what_holds_no_tensors_is_no_output(output):
    with pytest.raises(UserError, match="a model must return a tensor or a list of tensors"):
        output_list([output], nested=True)

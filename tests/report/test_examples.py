"""The images that distillation changed most, by hand."""

import numpy as np
import paddle
import pytest

from paddleseg.evaluation.inference import WHOLE
from paddleseg.monitoring.validation_pictures import spread_indices
from paddleseg.report.examples import Example, compare, extremes, image_miou


def test_the_miou_of_an_image_by_hand():
    truth = np.array([[0, 0, 0, 1], [0, 1, 1, 255]])
    mask = np.array([[0, 0, 2, 1], [0, 1, 0, 1]])
    # Class 0: 3 found, 1 missed, 1 too many; class 1: 2 found, 1 missed; class 2 is not in the truth.
    assert image_miou(mask, truth, 3) == pytest.approx((3 / 5 + 2 / 3) / 2)
    # With the last pixel counted as one of class 1, which was found.
    assert image_miou(mask, np.where(truth == 255, 1, truth), 3, ignore_index=9) == pytest.approx(
        (3 / 5 + 3 / 4) / 2
    )
    assert image_miou(mask, np.full_like(truth, 255), 3) is None


def gains(*values):
    return [Example(index, 0.5, 0.5 + gain) for index, gain in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "count", "helped", "hurt"),
    [
        ((0.1, -0.2, 0.3, -0.1, 0.2, 0.0, -0.3), 4, [2, 4], [6, 1]),
        ((0.1, -0.2, 0.3, -0.1, 0.2), 3, [2, 4], [1]),
        ((0.1, -0.2, 0.3, 0.2, 0.4), 4, [4, 2, 3], [1]),
        ((-0.1, -0.2, -0.3, -0.4, 0.1), 4, [4], [3, 2, 1]),
        ((0.0, 0.0), 6, [], []),
        ((0.25, 0.25, 0.25), 2, [0, 1], []),
        ((0.1, -0.2), 1, [0], []),
        ((-0.2,), 1, [], [0]),
    ],
)
def test_the_largest_changes_come_first(values, count, helped, hurt):
    groups = extremes(gains(*values), count)
    assert [[example.index for example in examples] for examples in groups] == [helped, hurt]


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(5, 9, [0, 1, 2, 3, 4]), (5, 5, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (4, 1, [0]), (1, 4, [0])],
)
def test_indices_are_spread_evenly(count, most, expected):
    assert spread_indices(count, most) == expected


class Constant(paddle.nn.Layer):
    """Gives every pixel one class of two."""

    def __init__(self, chosen):
        super().__init__()
        self.chosen = chosen

    def forward(self, x):
        logits = paddle.zeros([x.shape[0], 2, *x.shape[2:]])
        logits[:, self.chosen] = 1.0
        return [logits]


class Masks:
    """Three images of 2 x 2 whose masks hold 1 and 4 pixels of class 1, and nothing that counts."""

    ignore_index = 255

    def __len__(self):
        return 3

    def __getitem__(self, index):
        mask = np.array([[[0, 0], [0, 1]], [[1, 1], [1, 1]], [[255, 255], [255, 255]]][index])
        return {"img": np.zeros((3, 2, 2), "float32"), "label": mask}


def test_two_models_are_compared_image_by_image():
    examples = compare(Constant(0), Constant(1), Masks(), 2, [0, 1, 2], WHOLE)
    assert [(e.index, e.plain, e.distilled) for e in examples] == [
        (0, pytest.approx(3 / 8), pytest.approx(1 / 8)),
        (1, 0.0, 1.0),
    ]

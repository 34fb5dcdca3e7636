"""How the logits of several teachers are weighted and joined."""

import numpy as np
import paddle
import pytest
import tiny

from paddleseg import models
from paddleseg.distill.teachers import Teacher, Teachers
from paddleseg.distill.teachers.joined_teachers import confidence_weights, weighted_logits
from paddleseg.errors import UserError

RNG = np.random.default_rng(8)


def reference(logits, label, ignore_index):
    """Return the weights by their formula, pixel by pixel, in float64."""
    K, N, C = logits.shape[:3]
    weights = np.full((K, N, *logits.shape[3:]), 1 / K)
    for n in range(label.shape[0]):
        for position in np.ndindex(label.shape[1:]):
            true = label[(n, *position)]
            if true == ignore_index:
                continue
            z = logits[(slice(None), n, slice(None), *position)].astype("float64")
            p = np.exp(z - z.max(1, keepdims=True))
            inverse = 1 / (p / p.sum(1, keepdims=True))[:, true]  # exp of the cross entropy
            weights[(slice(None), n, *position)] = (1 - inverse / inverse.sum()) / (K - 1)
    return weights


@pytest.mark.parametrize("shape", [(2, 1, 3, 5, 7), (3, 2, 4, 1, 3), (4, 2, 1, 2, 2), (2, 5, 6)])
def test_weights_equal_their_formula(shape):
    logits = (3 * RNG.standard_normal(shape)).astype("float32")
    label = RNG.integers(0, shape[2], (shape[1], *shape[3:]))
    label[RNG.random(label.shape) < 0.3] = 9
    got = confidence_weights(paddle.to_tensor(logits), paddle.to_tensor(label), ignore_index=9).numpy()
    np.testing.assert_allclose(got, reference(logits, label, 9), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(got.sum(0), 1, rtol=1e-6)


def test_two_teachers_share_by_their_probabilities():
    logits = np.log(np.array([[[[0.9], [0.1]]], [[[0.3], [0.7]]]], "float32"))  # K=2, N=1, C=2, one pixel
    got = confidence_weights(paddle.to_tensor(logits), paddle.to_tensor([[0]])).numpy()
    np.testing.assert_allclose(got[:, 0, 0], [0.75, 0.25], rtol=1e-6)


def test_images_without_a_label_and_ignored_pixels_get_the_mean():
    logits = paddle.to_tensor(RNG.standard_normal((3, 4, 2, 3, 3)).astype("float32"))
    label = paddle.full([2, 3, 3], 255, "int64")
    np.testing.assert_allclose(confidence_weights(logits, label).numpy(), 1 / 3, rtol=1e-6)


def test_logits_far_apart_stay_finite():
    logits = paddle.to_tensor([[[[200.0], [-200.0]]], [[[-200.0], [200.0]]]])
    got = confidence_weights(logits, paddle.to_tensor([[0]])).numpy()
    np.testing.assert_allclose(got[:, 0, 0], [1, 0], atol=1e-6)


def test_the_weighted_sum_and_the_mean():
    logits = RNG.standard_normal((3, 2, 4, 5, 6)).astype("float32")
    weights = RNG.random((3, 2, 5, 6)).astype("float32")
    got = weighted_logits(paddle.to_tensor(logits), paddle.to_tensor(weights)).numpy()
    np.testing.assert_allclose(got, np.einsum("knchw,knhw->nchw", logits, weights), rtol=1e-5, atol=1e-5)
    mean = weighted_logits(paddle.to_tensor(logits)).numpy()
    np.testing.assert_allclose(mean, logits.astype("float64").mean(0), rtol=1e-5, atol=1e-6)


def test_a_label_of_another_size_is_refused():
    with pytest.raises(UserError, match="label has the shape"):
        confidence_weights(paddle.zeros([2, 1, 3, 4, 4]), paddle.zeros([1, 2, 2], "int64"))


def segmentation_model(index=-1, num_classes=3):
    """Return a small FCN whose head gives logits at a stride of 8 or, with index 0, of 4."""
    paddle.seed(index % 5)
    return models.FCN(num_classes, models.backbones.MobileNetV2_x0_25(), (index,), channels=4)


@pytest.mark.parametrize("weighting", ["mean", "confidence"])
def test_teachers_at_the_head_are_joined_at_the_smallest_of_their_sizes(weighting):
    coarse, fine = segmentation_model(-1), segmentation_model(0)
    x = paddle.randn([2, 3, 64, 64])
    label = paddle.randint(0, 3, [2, 64, 64])
    (joined,), _ = Teachers([Teacher(coarse), Teacher(fine)], weighting, logits_at="head")(x, label)
    heads = [coarse.head_logits(x)[0], fine.head_logits(x)[0]]
    size = heads[0].shape[2:]
    assert size < heads[1].shape[2:]
    heads = paddle.stack([heads[0], *fine.upsampled(heads[1:], size)])
    stride = 64 // size[0]
    weights = None if weighting == "mean" else confidence_weights(heads, label[:, ::stride, ::stride])
    np.testing.assert_array_equal(joined.numpy(), weighted_logits(heads, weights).numpy())


def test_the_keys_of_the_images_reach_each_teacher():
    class Keyed(Teacher):
        def at_head(self, images, keys=None):
            self.seen = keys
            return super().at_head(images, keys)

    teachers = [Keyed(tiny.TinyNet()), Keyed(tiny.TinyNet())]
    Teachers(teachers)(paddle.randn([2, 3, 8, 8]), keys=[(0, 5), (1, 7)])
    assert [teacher.seen for teacher in teachers] == [[(0, 5), (1, 7)]] * 2

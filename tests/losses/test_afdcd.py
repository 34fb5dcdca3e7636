import numpy as np
import paddle
import pytest
from loss_reference import normal, tensor, valid_mask
from loss_tests import MaskedLossTests
from test_mgd import generated

from paddleseg.errors import UserError
from paddleseg.losses import AfDCDLoss, afdcd_loss


def formula(loss, student, teacher, label, mask=1.0):
    """`mask`: N x 1 x H x W, 1 where the student is seen."""
    x = generated(loss, student, mask)
    valid = valid_mask(student, label)
    error = ((x - teacher) ** 2).sum(axis=1)[valid].sum() / len(x)
    return loss.feature_weight * error + loss.contrast_weight * contrast(loss, x, teacher, valid)


def contrast(loss, ours, theirs, valid):
    ours, theirs = (pixels(loss, x, valid) for x in (ours, theirs))
    entropies = [entropy(loss, place, ours, theirs) for place in ours]
    return np.mean(entropies) if entropies else 0.0


def pixels(loss, x, valid):
    """Return {(sample, row, column): M x C / M, the pooled vectors} of the windows with valid pixels."""
    N, C, H, W = x.shape
    p, found = loss.pool_size, {}
    for n, y, z in np.ndindex(N, -(-H // p), -(-W // p)):
        window = (slice(y * p, y * p + p), slice(z * p, z * p + p))
        inside = x[n][:, window[0], window[1]][:, valid[n][window]].astype("float64")
        if inside.size:
            found[n, y, z] = inside.max(axis=1).reshape(loss.channel_groups, -1)
    return found


def entropy(loss, place, ours, theirs):
    """Return the cross entropy of one pixel, summed over its groups."""
    patch = [place[0], *(i // loss.patch_size for i in place[1:])]
    neighbours = [
        other for other in theirs if [other[0], *(i // loss.patch_size for i in other[1:])] == patch
    ]
    total = 0.0
    for m, vector in enumerate(ours[place]):
        others = [theirs[j][k] for j in neighbours for k in range(loss.channel_groups) if k != m]
        distances = [np.abs(vector - other).sum() for other in [theirs[place][m], *others]]
        similarity = -np.array(distances) / loss.temperature
        top = similarity.max()
        total += top + np.log(np.exp(similarity - top).sum()) - similarity[0]
    return total


class TestAfDCDLoss(MaskedLossTests):
    loss = AfDCDLoss
    cases = (
        {"pool_size": 1, "patch_size": 2, "temperature": 2.0},
        {"pool_size": 2, "patch_size": 1, "feature_weight": 0.0},
        {"contrast_weight": 0.1},
    )
    spreads = True
    formula = staticmethod(formula)
    refused = [
        ({}, "AfDCDLoss needs student_channels, the number of channels"),
        *(
            ({"student_channels": 3, "teacher_channels": 32, **arguments}, message)
            for arguments, message in (
                ({"feature_weight": -1.0}, "feature_weight must be a number of 0 or above, not -1.0"),
                ({"contrast_weight": -1.0}, "contrast_weight must be a number of 0 or above, not -1.0"),
                ({"temperature": 0}, "temperature must be a positive number, not 0"),
                ({"channel_groups": 0}, "channel_groups must be a whole number above 0, not 0"),
                (
                    {"channel_groups": 24},
                    "channel_groups must divide the teacher's 32 channels, and 24 does not",
                ),
                ({"pool_size": 0}, "pool_size must be a whole number above 0, not 0"),
                ({"patch_size": 1.5}, "patch_size must be a whole number above 0, not 1.5"),
                ({"mask_ratio": 1}, "mask_ratio must be 0 or above and below 1, not 1"),
            )
        ),
    ]

    def build(self, student_channels, teacher_channels, **case):
        groups = {1: 1, 2: 2, 3: 3, 4: 2, 5: 5, 6: 3}[teacher_channels]
        return AfDCDLoss(student_channels, teacher_channels, mask_ratio=0.0, channel_groups=groups, **case)


def test_equals_the_formula_under_a_random_mask():
    loss = AfDCDLoss(3, 6, channel_groups=2, pool_size=2, patch_size=2)
    student, teacher = normal((2, 3, 8, 9), seed=1), normal((2, 6, 8, 9), seed=2)
    label = np.random.RandomState(0).choice([1, 255], (2, 16, 9))
    paddle.seed(11)
    mask = paddle.rand([2, 1, 8, 9]).numpy() <= 0.25
    assert 0 < mask.mean() < 1
    paddle.seed(11)
    value = loss(tensor(student), tensor(teacher), tensor(label))
    np.testing.assert_allclose(float(value), formula(loss, student, teacher, label, mask), rtol=1e-5)


def test_a_pixel_with_two_groups_by_hand():
    # Group 0 is (1), group 1 is (4). The teacher's are (2) and (4). Distances of group 0: 1 to its own, 3 to
    # the other; of group 1: 0 and 2. So both cross entropies are log(1 + exp(-2)).
    student = tensor(np.array([1.0, 4.0], dtype="float32").reshape([1, 2, 1, 1]))
    teacher = tensor(np.array([2.0, 4.0], dtype="float32").reshape([1, 2, 1, 1]))
    value = afdcd_loss(
        student, teacher, feature_weight=0, contrast_weight=1, temperature=1, channel_groups=2, pool_size=1
    )
    np.testing.assert_allclose(float(value), 2 * np.log(1 + np.exp(-2)), rtol=1e-5)


def test_one_group_has_nothing_to_be_told_from():
    student, teacher = tensor(normal((1, 4, 8, 8), seed=1)), tensor(normal((1, 4, 8, 8), seed=2))
    assert float(afdcd_loss(student, teacher, feature_weight=0, channel_groups=1)) == 0


def test_patches_do_not_see_one_another():
    student, teacher = normal((1, 4, 4, 8), seed=1), normal((1, 4, 4, 8), seed=2)
    arguments = {"feature_weight": 0, "channel_groups": 2, "pool_size": 1}
    whole = float(afdcd_loss(tensor(student), tensor(teacher), **arguments))
    halves = [
        float(afdcd_loss(tensor(student[..., part]), tensor(teacher[..., part]), **arguments))
        for part in (slice(0, 4), slice(4, 8))
    ]
    np.testing.assert_allclose(whole, np.mean(halves), rtol=1e-5)


def test_the_function_refuses_channels_that_groups_do_not_divide():
    with pytest.raises(
        UserError, match="channel_groups must divide the teacher's 6 channels, and 16 does not"
    ):
        afdcd_loss(paddle.zeros([1, 6, 8, 8]), paddle.zeros([1, 6, 8, 8]))

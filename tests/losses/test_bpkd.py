from fractions import Fraction
from math import ceil

import numpy as np
import paddle
import pytest
from loss_reference import divergence, nearest, normal, tensor
from loss_tests import NUM_CLASSES, MaskedLossTests

from paddleseg.errors import UserError
from paddleseg.losses import BPKDLoss, bpkd_loss


def formula(loss, student, teacher, label):
    N, C, H, W = student.shape
    student, teacher = (np.asarray(x, dtype=np.float64) for x in (student, teacher))
    small = nearest(label, H, W)
    valid = (small >= 0) & (small < C) & (small != loss.ignore_index)
    values = []
    for n in range(N):
        if valid[n].any():
            edges = np.stack([pooled(edge(label[n], c, C, loss), H, W) for c in range(C)]) * valid[n]
            on_edge = edge_term(loss, student[n], teacher[n], edges)
            inside = body_term(loss, student[n], teacher[n], edges, valid[n])
            values.append(loss.edge_weight * on_edge + loss.body_weight * inside)
    return np.mean(values) if values else 0.0


def edge(label, c, classes, loss):
    """Return H x W: 1 where the dilated mask of class c is, and the eroded one is not."""
    known = (label >= 0) & (label < classes) & (label != loss.ignore_index)
    result, radius = np.zeros(label.shape), loss.edge_width // 2
    for y, x in np.argwhere(known):
        window = (
            slice(max(0, y - radius), y + radius + 1),
            slice(max(0, x - radius), x + radius + 1),
        )
        around = label[window][known[window]]
        dilated, eroded = (around == c).any(), (around == c).all()
        result[y, x] = float(dilated) - float(eroded)
    return result


def pooled(mask, h, w):
    """Return the mean of the pixels that each of h x w positions overlaps."""

    def ranges(length, count):
        step = Fraction(length, count)
        return [slice(int(i * step), ceil((i + 1) * step)) for i in range(count)]

    H, W = mask.shape
    return np.array([[mask[y, x].mean() for x in ranges(W, w)] for y in ranges(H, h)])


def edge_term(loss, student, teacher, edges):
    C, H, W = student.shape
    phi = np.empty((H, W))
    for y, x in np.ndindex(H, W):
        ours, theirs = (z[:, y, x] * edges[:, y, x] for z in (student, teacher))
        phi[y, x] = divergence(ours, theirs, 0, loss.temperature)
    return loss.alpha * sum(
        (edges[c] * phi).sum() / (edges[c] > 0).sum() for c in range(C) if (edges[c] > 0).any()
    )


def body_term(loss, student, teacher, edges, valid):
    channels = [
        divergence(*(((1 - edges[c]) * z[c])[valid] for z in (student, teacher)), 0, loss.temperature)
        for c in range(len(student))
    ]
    return np.mean(channels)


class TestBPKDLoss(MaskedLossTests):
    loss = BPKDLoss
    cases = (
        {"edge_width": 3},
        {"edge_width": 3, "edge_weight": 0.0, "temperature": 1.0},
        {"body_weight": 0.0, "alpha": 0.5},
    )
    any_channels = False
    steepest = 1e3
    formula = staticmethod(formula)
    refused = [
        ({"edge_weight": -1}, "edge_weight must be a number of 0 or above, not -1"),
        ({"body_weight": np.nan}, "body_weight must be a number of 0 or above"),
        ({"alpha": -0.5}, "alpha must be a number of 0 or above, not -0.5"),
        ({"temperature": 0}, "temperature must be a positive number, not 0"),
        *(
            ({"edge_width": width}, f"edge_width must be an odd number from 3, not {width}")
            for width in (1, 4)
        ),
        ({"edge_width": 3.0}, "edge_width must be a whole number above 0, not 3.0"),
    ]


def test_a_boundary_by_hand():
    # Two classes side by side in a row of six pixels. With a width of 3, the two pixels at the boundary are
    # on the edge of both classes. There, student (0, 0) and teacher (log 3, 0) diverge by
    # KL((3/4, 1/4) || (1/2, 1/2)) = 0.1308120. Each class adds its mean over two positions.
    label = tensor(np.array([[[0, 0, 0, 1, 1, 1]]]))
    student = paddle.zeros([1, 2, 1, 6])
    teacher = np.zeros((1, 2, 1, 6), dtype="float32")
    teacher[0, 0, 0, 2:4] = np.log(3)
    value = bpkd_loss(
        student, tensor(teacher), label, edge_weight=1, body_weight=0, alpha=1, temperature=1, edge_width=3
    )
    np.testing.assert_allclose(float(value), 2 * 0.1308120, rtol=1e-5)
    # The body has no edge: there all its logits are 0, on both sides.
    value = bpkd_loss(student, tensor(teacher), label, edge_weight=0, edge_width=3)
    assert float(value) == 0


def test_without_a_boundary_the_edge_term_is_zero():
    student, teacher = tensor(normal((1, 2, 4, 4), seed=1)), tensor(normal((1, 2, 4, 4), seed=2))
    label = paddle.zeros([1, 4, 4], dtype="int64")
    assert float(bpkd_loss(student, teacher, label, body_weight=0)) == 0
    assert float(bpkd_loss(student, teacher, label, edge_weight=0)) > 0


def test_ignored_pixels_make_no_boundary():
    label = np.zeros((1, 4, 6), dtype="int64")
    label[:, :, 3:] = 255
    student, teacher = tensor(normal((1, 2, 4, 6), seed=1)), tensor(normal((1, 2, 4, 6), seed=2))
    assert float(bpkd_loss(student, teacher, tensor(label), body_weight=0)) == 0


def test_edges_of_a_large_label_become_shares():
    # At half the size, an edge that is one pixel wide covers a half of its positions.
    label = np.zeros((1, 8, 8), dtype="int64")
    label[:, :, 5:] = 1
    student, teacher = normal((1, 2, 4, 4), seed=1), normal((1, 2, 4, 4), seed=2)
    loss = BPKDLoss(edge_width=3)
    value = float(loss(tensor(student), tensor(teacher), tensor(label)))
    np.testing.assert_allclose(value, formula(loss, student, teacher, label), rtol=1e-5)
    edges = [pooled(edge(label[0], c, 2, loss), 4, 4) for c in range(2)]
    np.testing.assert_array_equal(edges, np.broadcast_to([0, 0, 1, 0], (2, 4, 4)))
    shifted = np.roll(label, -1, axis=2)
    shifted[:, :, -1] = 1
    np.testing.assert_array_equal(pooled(edge(shifted[0], 0, 2, loss), 4, 4)[0], [0, 0.5, 0.5, 0])
    value = float(loss(tensor(student), tensor(teacher), tensor(shifted)))
    np.testing.assert_allclose(value, formula(loss, student, teacher, shifted), rtol=1e-5)


def test_refuses_maps_of_another_number_of_channels():
    loss, features = BPKDLoss(num_classes=NUM_CLASSES), paddle.zeros([1, 3, 4, 4])
    with pytest.raises(UserError, match=r"logits of 4 classes \(num_classes\), and .* 3 channels"):
        loss(features, features, paddle.zeros([1, 4, 4], dtype="int64"))

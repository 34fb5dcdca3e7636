"""Boundary-privileged distillation: the logits near the boundaries of classes, and those inside."""

from typing import Optional

import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import (
    check_alike,
    check_count,
    check_maps,
    check_not_negative,
    check_positive,
    require_label,
)
from paddleseg.losses.common import full_precision, kl_divergence, mean_over
from paddleseg.losses.labels import class_members, resize_label_like


@full_precision
def bpkd_loss(
    student,
    teacher,
    label,
    ignore_index=255,
    edge_weight=50.0,
    body_weight=20.0,
    alpha=2.0,
    temperature=4.0,
    edge_width=7,
):
    """Return the divergence of the logits near the boundaries, and that of the logits inside the classes.

    Liu et al., "BPKD: Boundary Privileged Knowledge Distillation For Semantic Segmentation", WACV 2024,
    https://arxiv.org/abs/2306.08075. A pixel of the label is on the edge of class c if a square of
    `edge_width` pixels around it holds pixels of c and pixels of other classes: the dilated mask of c without
    the eroded one. M[c, i] is the share of such pixels in position i of the logits, and n_c the number of
    positions where it is above 0. With the logits z of C classes, and for each sample,

        phi[i] = T^2 KL(softmax_c(M z_teacher / T) || softmax_c(M z_student / T))
        edge = alpha * sum over c of 1 / n_c * sum over i of M[c, i] phi[i]
        body = T^2 / C * sum over c of
               KL(softmax_i((1 - M) z_teacher / T) || softmax_i((1 - M) z_student / T))
        loss = mean over the samples of edge_weight * edge + body_weight * body

    Pixels of `ignore_index` and of no class are in no term, and a boundary with them is no edge. Samples
    without valid pixels are left out of the mean. The authors have not published their code for training.

    Args:
        student: logits, N x C x H x W, floating.
        teacher: logits of the same shape. No gradient reaches them.
        label: N x H' x W', int64, of any size; the edges are found at its size, and averaged to H x W.
        ignore_index: the label of pixels that are left out. Default 255.
        edge_weight, body_weight, alpha, temperature, edge_width: see `BPKDLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: there is no label, shapes do not match, or a hyperparameter is out of its range.
    """
    check_alike(student, teacher)
    check_maps(student, teacher)
    require_label("BPKDLoss", label)
    _check_hyperparameters(edge_weight, body_weight, alpha, temperature, edge_width)
    N, C, H, W = student.shape
    small_label = resize_label_like(student, label)
    valid = class_members(small_label, C, ignore_index, student.dtype).sum(axis=1).reshape([N, 1, H, W])
    edges = F.adaptive_avg_pool2d(_class_edges(label, C, ignore_index, edge_width, student.dtype), [H, W])
    edges = edges * valid
    ours, theirs = student * edges, teacher * edges
    pixels = kl_divergence(ours, theirs, 1, temperature).unsqueeze(1)
    on_edge = (edges > 0).astype(edges.dtype).sum(axis=[2, 3])
    edge = mean_over((edges * pixels).sum(axis=[2, 3]), on_edge).sum(axis=1)
    ours, theirs = (((1 - edges) * logits).flatten(2) for logits in (student, teacher))
    body = kl_divergence(ours, theirs, 2, temperature, valid.flatten(2) > 0).mean(axis=1)
    present = valid.flatten(1).max(axis=1)
    loss = edge_weight * alpha * edge + body_weight * body
    return mean_over((loss * present).sum(), present.sum())


def _class_edges(label, num_classes, ignore_index, width, dtype):
    """Return N x C x H x W: 1 where a pixel of a label is on the edge of a class, else 0."""
    N, H, W = label.shape
    members = class_members(label, num_classes, ignore_index, dtype).reshape([N, num_classes, H, W])
    near = F.max_pool2d(members, width, stride=1, padding=width // 2)
    several = (near.sum(axis=1, keepdim=True) > 1).astype(dtype)
    return near * several * members.sum(axis=1, keepdim=True)


def _check_hyperparameters(edge_weight, body_weight, alpha, temperature, edge_width):
    weights = {"edge_weight": edge_weight, "body_weight": body_weight, "alpha": alpha}
    for name, value in weights.items():
        check_not_negative(name, value)
    check_positive("temperature", temperature)
    check_count("edge_width", edge_width)
    if edge_width < 3 or edge_width % 2 == 0:
        raise UserError(f"edge_width must be an odd number from 3, not {edge_width}")


@manager.LOSSES.add_component
class BPKDLoss(MaskedLoss):
    """Divergence of the logits near the boundaries of classes, and inside them; see `bpkd_loss`.

    It takes the label at the size of the images, also where the logits are compared at the head.

    Args:
        num_classes: the number of classes, which the logits must have. Default None: any number.
        edge_weight, body_weight: the factors of edge and body, 0 or above. Default 50 and 20.
        alpha: a further factor of the edge term, 0 or above. Default 2.
        temperature: T > 0, by which all logits are divided. Default 4.
        edge_width: side of the square, in pixels of the label, in which an edge pixel sees another class;
            odd, 3 at least. Default 7.

    Raises:
        UserError: a hyperparameter is out of its range.
    """

    needs_label = True
    resizes_label = True
    function = staticmethod(bpkd_loss)

    def __init__(
        self,
        num_classes: Optional[int] = None,
        ignore_index: int = 255,
        edge_weight: float = 50.0,
        body_weight: float = 20.0,
        alpha: float = 2.0,
        temperature: float = 4.0,
        edge_width: int = 7,
    ):
        _check_hyperparameters(edge_weight, body_weight, alpha, temperature, edge_width)
        super().__init__(
            ignore_index=ignore_index,
            edge_weight=edge_weight,
            body_weight=body_weight,
            alpha=alpha,
            temperature=temperature,
            edge_width=edge_width,
        )
        self.num_classes = num_classes

    def forward(self, student, teacher, label=None):
        """Return the loss, a scalar, of two logits N x C x H x W and a label N x H' x W' (int64)."""
        check_maps(student, teacher)
        if self.num_classes not in (None, student.shape[1]):
            raise UserError(
                f"it compares logits of {self.num_classes} classes (num_classes), and these tensors have "
                f"{student.shape[1]} channels"
            )
        return self.compute(student, teacher, label=label)

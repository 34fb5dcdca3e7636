"""The scores of a segmentation, from its confusion matrix and, if wanted, other counts."""

import dataclasses
from typing import Optional, Sequence

import numpy as np
import paddle

from paddleseg.errors import UserError
from paddleseg.evaluation.auc import auc_roc


def confusion_matrix(pred, label, num_classes, ignore_index=255):
    """Count the pixels of each pair of true and predicted class.

    Counts of batches and of ranks add up. Does not wait for the device.

    Args:
        pred: predicted classes, int32 or int64, of any shape, in 0..num_classes-1.
        label: true classes, of the same shape, in 0..num_classes-1 or `ignore_index`.
        num_classes: C, the number of classes.
        ignore_index: the label of pixels that are not counted. Default 255.

    Returns:
        C x C int64 tensor on the device of `pred`: rows are the truth, columns the prediction.

    Raises:
        UserError: the shapes differ, or, on a CPU, a class is outside 0..C-1. On a GPU Paddle's own kernel
            aborts, as a check would stall the device.
    """
    if list(pred.shape) != list(label.shape):
        raise UserError(
            f"prediction {list(pred.shape)} and label {list(label.shape)} differ in shape, and must agree"
        )
    pred, label = pred.astype("int64").flatten(), label.astype("int64").flatten()
    if pred.place.is_cpu_place():
        return _counted_on_host(pred.numpy(), label.numpy(), num_classes, ignore_index)
    counted = (label != ignore_index).astype("int64")
    # In Paddle 3 a negative index counts from the end, so a negative label becomes one that is too large.
    strict = paddle.where(label < 0, paddle.full_like(label, num_classes), label)
    truth = strict * counted
    empty = paddle.zeros([num_classes, num_classes], dtype="int64")
    # Not bincount, whose GPU kernel waits for the extremes of its input.
    return paddle.scatter_nd_add(empty, paddle.stack([truth, pred], axis=1), counted)


def _counted_on_host(pred, label, num_classes, ignore_index):
    """Count arrays of int64, thirty times as fast as Paddle's kernel on a CPU."""
    counted = label != ignore_index
    pred, label = pred[counted], label[counted]
    for what, values in (("label", label), ("prediction", pred)):
        if values.size and not 0 <= values.min() <= values.max() < num_classes:
            raise UserError(
                f"a {what} lies outside the {num_classes} classes, counted from 0:"
                f" num_classes or ignore_index ({ignore_index}) is wrong"
            )
    counts = np.bincount(label * num_classes + pred, minlength=num_classes**2)
    return paddle.to_tensor(counts.reshape(num_classes, num_classes))


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of a confusion matrix, 0..1 each (kappa -1..1); arrays are float64 of length C.

    For a class, TP are its pixels that were predicted, FP pixels of other classes that were predicted as it,
    and FN its pixels that were missed.

    Attributes:
        miou: mean of `class_iou` over all C classes.
        acc: share of right pixels.
        kappa: Cohen's kappa, (po - pe) / (1 - pe), with po = acc and pe the agreement expected by chance.
        mdice: mean of `class_dice` over all C classes.
        class_iou: TP / (TP + FP + FN).
        class_precision: TP / (TP + FP).
        class_recall: TP / (TP + FN).
        class_dice: 2 TP / (2 TP + FP + FN), also called F1.
        auc_roc: area under the ROC curve, see `auc.auc_roc`; None if not wanted.
        class_boundary_iou: IoU of each class's boundary, see `boundary`; None if not wanted.
        absent: the classes that no pixel of the truth has; their IoU is 0 whatever is predicted.

    A ratio without pixels, 0 / 0, counts as 0, also in the means, as in PaddleSeg and in scikit-learn's macro
    averages (`zero_division=0`).
    """

    miou: float
    acc: float
    kappa: float
    mdice: float
    class_iou: np.ndarray
    class_precision: np.ndarray
    class_recall: np.ndarray
    class_dice: np.ndarray
    auc_roc: Optional[float] = None
    class_boundary_iou: Optional[np.ndarray] = None
    absent: Sequence[int] = ()

    @property
    def mean_boundary_iou(self):
        """Mean of `class_boundary_iou` over all C classes; None if not wanted."""
        return None if self.class_boundary_iou is None else float(self.class_boundary_iou.mean())

    def log_lines(self, images):
        """Return the scores of `images` images as strings in PaddleSeg's form.

        The first has the single figures. Each of the others has a name, a line break, and the figures of the
        classes on one line.
        """
        summary = (
            f"[EVAL] #Images: {images} mIoU: {self.miou:.4f} Acc: {self.acc:.4f}"
            f" Kappa: {self.kappa:.4f} Dice: {self.mdice:.4f}"
        )
        if self.auc_roc is not None:
            summary += f" Auc_roc: {self.auc_roc:.4f}"
        if self.class_boundary_iou is not None:
            summary += f" Boundary mIoU: {self.mean_boundary_iou:.4f}"
        classes = {"IoU": self.class_iou, "Precision": self.class_precision, "Recall": self.class_recall}
        if self.class_boundary_iou is not None:
            classes["Boundary IoU"] = self.class_boundary_iou
        return [summary, *(f"[EVAL] Class {name}: \n{_on_one_line(v)}" for name, v in classes.items())]


def compute_scores(matrix, score_counts=None, boundary_areas=None):
    """Return the `Scores` of a C x C confusion matrix (tensor or array; rows truth, columns prediction).

    Computed on the host in float64. Without pixels all scores are 0. If all pixels are of one class in truth
    and prediction, kappa is undefined, and 0.

    Args:
        matrix: as `confusion_matrix` returns it.
        score_counts: as `auc.score_counts` returns them. Default None.
        boundary_areas: as `boundary.boundary_areas` returns them. Default None.
    """
    class_boundary_iou = None
    if boundary_areas is not None:
        intersection, union = np.asarray(boundary_areas, float).T
        class_boundary_iou = _ratio(intersection, union)
    matrix = np.asarray(matrix).astype(np.float64)
    hits, truth, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    total = matrix.sum()
    class_iou = _ratio(hits, truth + predicted - hits)
    class_dice = _ratio(2 * hits, truth + predicted)
    # Kappa with both terms multiplied by total^2, so that "undefined" is an exact zero.
    chance = (truth * predicted).sum()
    return Scores(
        miou=float(class_iou.mean()),
        acc=float(_ratio(hits.sum(), total)),
        kappa=float(_ratio(total * hits.sum() - chance, total**2 - chance)),
        mdice=float(class_dice.mean()),
        class_iou=class_iou,
        class_precision=_ratio(hits, predicted),
        class_recall=_ratio(hits, truth),
        class_dice=class_dice,
        auc_roc=None if score_counts is None else auc_roc(score_counts),
        class_boundary_iou=class_boundary_iou,
        absent=tuple(np.flatnonzero(truth == 0).tolist()),
    )


def _ratio(numerator, denominator):
    """Return numerator / denominator, and 0 where the denominator is 0."""
    numerator, denominator = np.asarray(numerator), np.asarray(denominator)
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


def _on_one_line(values):
    return np.array2string(np.round(values, 4), max_line_width=10**9, threshold=10**9)

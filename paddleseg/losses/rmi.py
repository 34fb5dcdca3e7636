"""Region mutual information between the neighbourhoods of pixels in label and prediction."""

from typing import Literal, Optional

import paddle
import paddle.nn.functional as F

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.base import TaskLoss
from paddleseg.losses.checks import check_label, check_num_classes
from paddleseg.losses.common import full_precision, mean_over
from paddleseg.losses.labels import valid_and_one_hot

PROBABILITY_FLOOR = 1e-6
# Added to the diagonals of the covariances, so that they can be inverted; the official code's.
REGULARISER = 5e-4
MAX_RADIUS = 10
POOL_WAYS = (0, 1, 2)


@full_precision
def rmi_loss(logits, label, radius=3, pool_way=0, pool_size=3, ignore_index=255):
    """Return an upper bound, up to a constant, of the negated mutual information of regions.

    Zhao et al., "Region Mutual Information Loss for Semantic Segmentation", NeurIPS 2019,
    https://arxiv.org/abs/1910.12037, after its official code (https://github.com/ZJULearning/RMI), without
    the cross entropy that the paper adds; add that with a `MixedLoss`, as in PaddleSeg.

    For each sample and class, the mask y and the map p = sigmoid(logits), both 0 in ignored pixels, are
    pooled. The R x R neighbours of each position are vectors Y and P of d = R * R dimensions. With the sums
    over the positions S_yy, S_yp, S_pp of their centred products and a = 5e-4,

        M = S_yy - S_yp (S_pp + a I)^-1 S_yp^T
        loss = mean over samples of the sum over classes of log det(M + a I) / (2 d)

    A class gives log(a) / 2 = -3.8 where y is empty, or where p determines it, so the loss is usually
    negative. Linear algebra is in float64. On a GPU, each step waits for the device, since Paddle's
    `cholesky` checks there whether it succeeded.

    PaddleSeg 2.8.0 and the official code give that constant for samples without a valid pixel; here the mean
    is over the other samples.

    Args:
        logits: N x C x H x W, floating.
        label: N x H x W, int64, of 0..C-1 or `ignore_index`.
        radius, pool_way, pool_size: `rmi_radius` R, `rmi_pool_way` and `rmi_pool_size` of `RMILoss`.
        ignore_index: the label of pixels that are left out. Default 255.

    Returns:
        A scalar tensor, float32 (float64 for float64 logits); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: `label` does not fit `logits` (its classes: on a CPU), an argument is out of its range, or
            pooling leaves less than R rows or columns.
    """
    _check_arguments(radius, pool_way, pool_size)
    check_label(logits, label)
    if len(logits.shape) != 4:
        raise UserError(f"logits need a shape of N x C x H x W, and have {list(logits.shape)}")
    height, width = (_pooled_length(length, pool_way, pool_size) for length in logits.shape[2:])
    if min(height, width) < radius:
        raise UserError(
            f"logits of {list(logits.shape)} are pooled to {height} x {width}, which is less than rmi_radius"
            f" ({radius}): take larger images or a smaller radius"
        )
    valid, masks = valid_and_one_hot(label, logits.shape[1], ignore_index, logits.dtype)
    maps = F.sigmoid(logits) * valid + PROBABILITY_FLOOR
    masks, maps = _pooled(masks, maps, pool_way, pool_size)
    y, p = _centred_regions(masks, radius), _centred_regions(maps, radius)
    information = 0.5 * _log_determinant(_conditional_covariance(y, p)) / radius**2
    counted = valid.flatten(start_axis=1).max(axis=1).astype(information.dtype)
    loss = mean_over((information.sum(axis=1) * counted).sum(), counted.sum())
    return loss.astype(logits.dtype)


def _pooled_length(length, way, size):
    return length // size if way == 2 else (length + 2 * (size // 2) - size) // size + 1


def _pooled(masks, maps, way, size):
    """Return masks and probability maps, N x C x H x W, at a `size`-th of their size."""
    if size == 1:
        return masks, maps
    if way == 2:
        smaller = [_pooled_length(length, way, size) for length in masks.shape[2:]]
        return (
            F.interpolate(masks, size=smaller, mode="nearest"),
            F.interpolate(maps, size=smaller, mode="bilinear", align_corners=True),
        )
    pool = F.max_pool2d if way == 0 else F.avg_pool2d
    return tuple(pool(x, kernel_size=size, stride=size, padding=size // 2) for x in (masks, maps))


def _centred_regions(x, radius):
    """Return the R x R neighbourhoods of `x` as N x C x R*R x positions, float64, with a mean of 0."""
    height, width = x.shape[2] - radius + 1, x.shape[3] - radius + 1
    shifted = [x[:, :, i : i + height, j : j + width] for i in range(radius) for j in range(radius)]
    regions = paddle.stack(shifted, axis=2).flatten(start_axis=3).astype("float64")
    return regions - regions.mean(axis=3, keepdim=True)


def _conditional_covariance(y, p):
    """Return S_yy - S_yp (S_pp + a I)^-1 S_yp^T, N x C x d x d, of centred regions N x C x d x positions."""
    s_pp = paddle.matmul(p, p, transpose_y=True)
    s_py = paddle.matmul(p, y, transpose_y=True)
    # With S_pp + a I = L L^T, the product is X^T X for L X = S_py, which stays semidefinite under rounding.
    x = paddle.linalg.triangular_solve(paddle.linalg.cholesky(_regularised(s_pp)), s_py, upper=False)
    return paddle.matmul(y, y, transpose_y=True) - paddle.matmul(x, x, transpose_x=True)


def _log_determinant(matrices):
    """Return log det(M + a I) of positive semidefinite matrices, N x C x d x d, as N x C."""
    factor = paddle.linalg.cholesky(_regularised(matrices))
    return 2 * paddle.diagonal(factor, axis1=-2, axis2=-1).log().sum(axis=-1)


def _regularised(matrices):
    return matrices + REGULARISER * paddle.eye(matrices.shape[-1], dtype=matrices.dtype)


def _check_arguments(radius, pool_way, pool_size):
    if not 1 <= radius <= MAX_RADIUS:
        raise UserError(f"rmi_radius must be 1 to {MAX_RADIUS}, not {radius}")
    if pool_way not in POOL_WAYS:
        raise UserError(f"rmi_pool_way must be 0 (maximum), 1 (mean) or 2 (resizing), not {pool_way}")
    if pool_size < 1:
        raise UserError(f"rmi_pool_size must be 1 or above, not {pool_size}")


@manager.LOSSES.add_component
class RMILoss(TaskLoss):
    """Region mutual information, without a cross entropy; see `rmi_loss`.

    Args:
        num_classes: the number of classes, which the logits must have; PaddleSeg's default is 19. Default
            None: any number.
        rmi_radius: side of the regions, 1 to 10. Default 3.
        rmi_pool_way: 0 pools by the maximum, 1 by the mean, 2 resizes. Default 0.
        rmi_pool_size: side and stride of the pooling; 1 for none. Default 3.
        rmi_pool_stride: the same as `rmi_pool_size`. Default 3.

    Raises:
        UserError: an argument is out of its range.
    """

    function = staticmethod(rmi_loss)

    def __init__(
        self,
        num_classes: Optional[int] = None,
        rmi_radius: int = 3,
        rmi_pool_way: Literal[0, 1, 2] = 0,
        rmi_pool_size: int = 3,
        rmi_pool_stride: int = 3,
        ignore_index: int = 255,
    ):
        _check_arguments(rmi_radius, rmi_pool_way, rmi_pool_size)
        if rmi_pool_stride != rmi_pool_size:
            raise UserError(
                f"rmi_pool_stride ({rmi_pool_stride}) must be the same as rmi_pool_size ({rmi_pool_size})"
            )
        super().__init__(
            radius=rmi_radius, pool_way=rmi_pool_way, pool_size=rmi_pool_size, ignore_index=ignore_index
        )
        self.num_classes = num_classes

    def forward(self, logits, label):
        """Return the loss, a scalar, of logits N x C x H x W and label N x H x W (int64)."""
        check_num_classes("num_classes", self.num_classes, logits)
        return self.compute(logits, label)

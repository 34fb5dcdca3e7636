"""Dense contrastive distillation without augmentation, between pixels and groups of channels."""

from typing import Optional

import paddle
import paddle.nn.functional as F
from paddle.autograd import PyLayer

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.losses.checks import check_alike, check_count, check_maps, check_not_negative, check_positive
from paddleseg.losses.common import EXCLUDED, full_precision, log_softmax, mean_over
from paddleseg.losses.labels import valid_mask
from paddleseg.losses.mgd import GeneratedFeatureLoss, mgd_loss


@full_precision
def afdcd_loss(
    generated,
    teacher,
    label=None,
    ignore_index=255,
    feature_weight=2e-6,
    contrast_weight=5e-3,
    temperature=0.07,
    channel_groups=16,
    pool_size=4,
    patch_size=4,
):
    """Return the summed squared error of the generated features, and their contrast within patches.

    Fan et al., "Augmentation-Free Dense Contrastive Knowledge Distillation for Efficient Semantic
    Segmentation", NeurIPS 2023, https://arxiv.org/abs/2312.04168, after its code
    (https://github.com/OSVAI/Af-DCD). The first term is `mgd_loss`. For the second, both features are
    max-pooled, cut into square patches, and their channels into M groups. With s[i, m] and t[i, m] the
    vectors of group m at pixel i of a patch, and d the L1 distance,

        contrast = 1 / P * sum over P pooled pixels i and groups m of
                   -log exp(-d(s[i, m], t[i, m]) / T) / (exp(-d(s[i, m], t[i, m]) / T) +
                         sum over pixels j of the patch and groups k != m of exp(-d(s[i, m], t[j, k]) / T))
        loss = feature_weight * mgd + contrast_weight * contrast

    The last windows and patches may stick out of the map; the code takes only sizes that can be divided.
    Given a label, its ignored pixels are in no term: a window is pooled over its valid pixels, and counts if
    it has any. The published code has no ignored pixels. A patch takes (patch_size^2 * M)^2 numbers several
    times over, 65,536 by default.

    Args:
        generated: N x C x H x W, which `AfDCDLoss` generates from the student's features, floating.
        teacher: the same shape. No gradient reaches it.
        label: N x H' x W', int64, of any size (see `resize_label`), or None. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        feature_weight, contrast_weight, temperature, channel_groups, pool_size, patch_size: see `AfDCDLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 inputs); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: the shapes do not match, or a hyperparameter is out of its range.
    """
    check_alike(generated, teacher)
    check_maps(generated, teacher)
    _check_hyperparameters(
        feature_weight, contrast_weight, temperature, channel_groups, pool_size, patch_size
    )
    _check_groups(teacher.shape[1], channel_groups)
    features = mgd_loss(generated, teacher, label, ignore_index, alpha=feature_weight)
    valid = valid_mask(generated, label, ignore_index)
    ours, theirs = (
        _patches(x, valid, channel_groups, pool_size, patch_size) for x in (generated, teacher.detach())
    )
    present = _patches(valid.unsqueeze(1), valid, 1, pool_size, patch_size).squeeze(-1)
    contrast = _contrast(ours, theirs, present, channel_groups, temperature)
    return features + contrast_weight * contrast


def _patches(x, valid, groups, pool, patch):
    """Return the pooled vectors of all patches: patches x (patch^2 * groups) x (C / groups).

    The vectors of a pixel's groups follow one another. A window without valid pixels has zeros.

    Args:
        x: N x C x H x W.
        valid: N x H x W of 1 and 0.
    """
    N, C, H, W = x.shape
    side = pool * patch
    rows, columns = -(-H // side) * patch, -(-W // side) * patch
    padding = [0, columns * pool - W, 0, rows * pool - H]
    valid = F.pad(valid.unsqueeze(1), padding) > 0
    x = F.pad(x, padding)
    pooled = F.max_pool2d(paddle.where(valid, x, paddle.full_like(x, EXCLUDED)), pool, stride=pool)
    pooled = paddle.where(pooled > EXCLUDED, pooled, paddle.zeros_like(pooled))
    pooled = pooled.reshape([N, groups, C // groups, rows // patch, patch, columns // patch, patch])
    return pooled.transpose([0, 3, 5, 4, 6, 1, 2]).reshape([-1, patch * patch * groups, C // groups])


def _contrast(ours, theirs, present, groups, temperature):
    """Return the mean over the pixels that are present of the summed cross entropy of their groups.

    Args:
        ours, theirs: patches x (pixels * groups) x C.
        present: patches x pixels, of 1 and 0.
    """
    group = paddle.arange(ours.shape[1]) % groups
    compared = (group.unsqueeze(0) != group.unsqueeze(1)) | paddle.eye(len(group)).astype("bool")
    vectors = present.unsqueeze(2).expand([*present.shape, groups]).flatten(1)
    compared = compared.unsqueeze(0) & (vectors.unsqueeze(1) > 0)
    similarity = _L1Distances.apply(ours, theirs) / -temperature
    similarity = paddle.where(compared, similarity, paddle.full_like(similarity, EXCLUDED))
    own = paddle.diagonal(log_softmax(similarity, axis=2), axis1=1, axis2=2)
    return mean_over(-(own * vectors).sum(), present.sum())


class _L1Distances(PyLayer):
    """B x M x C and B x M' x C to the L1 distances B x M x M', one channel after the other.

    All differences at once would take C times the memory of the result. No gradient reaches the second.
    """

    @staticmethod
    def forward(ctx, ours, theirs):
        ctx.save_for_backward(ours, theirs)
        pairs = _differences(ours, theirs)
        distances = next(pairs).abs_()
        for difference in pairs:
            distances.add_(difference.abs_())
        return distances

    @staticmethod
    def backward(ctx, grad):
        ours, theirs = ctx.saved_tensor()
        gradients = [(grad * difference.sign()).sum(axis=2) for difference in _differences(ours, theirs)]
        return paddle.stack(gradients, axis=2), None


def _differences(ours, theirs):
    """Yield B x M x M', the difference of each pair in one channel after the other."""
    for channel in range(ours.shape[2]):
        yield ours[:, :, channel].unsqueeze(2) - theirs[:, :, channel].unsqueeze(1)


def _check_groups(channels, groups):
    if channels % groups:
        raise UserError(
            f"channel_groups must divide the teacher's {channels} channels, and {groups} does not"
        )


def _check_hyperparameters(feature_weight, contrast_weight, temperature, *counts):
    check_not_negative("feature_weight", feature_weight)
    check_not_negative("contrast_weight", contrast_weight)
    check_positive("temperature", temperature)
    for name, value in zip(("channel_groups", "pool_size", "patch_size"), counts):
        check_count(name, value)


@manager.LOSSES.add_component
class AfDCDLoss(GeneratedFeatureLoss):
    """Masked features, generated and contrasted; see `afdcd_loss` and `GeneratedFeatureLoss`.

    Args:
        mask_ratio: the share of positions that are masked, 0 or above and below 1. Default 0.75.
        feature_weight: the factor of the summed squared error, 0 or above. Default 2e-6, the published one of
            DeepLabV3-ResNet18 on Cityscapes.
        contrast_weight: the factor of the contrast, 0 or above. Default 5e-3, published likewise.
        temperature: T > 0, by which the distances are divided. Default 0.07.
        channel_groups: M, which must divide the teacher's channels. Default 16.
        pool_size: side and stride of the pooling; 1 for none. Default 4.
        patch_size: side of a patch, in pooled pixels. Default 4.

    Raises:
        UserError: the channels are not known, or a hyperparameter is out of its range.
    """

    function = staticmethod(afdcd_loss)

    def __init__(
        self,
        student_channels: Optional[int] = None,
        teacher_channels: Optional[int] = None,
        ignore_index: int = 255,
        mask_ratio: float = 0.75,
        feature_weight: float = 2e-6,
        contrast_weight: float = 5e-3,
        temperature: float = 0.07,
        channel_groups: int = 16,
        pool_size: int = 4,
        patch_size: int = 4,
    ):
        super().__init__(
            student_channels,
            teacher_channels,
            mask_ratio,
            ignore_index=ignore_index,
            feature_weight=feature_weight,
            contrast_weight=contrast_weight,
            temperature=temperature,
            channel_groups=channel_groups,
            pool_size=pool_size,
            patch_size=patch_size,
        )
        _check_hyperparameters(
            feature_weight, contrast_weight, temperature, channel_groups, pool_size, patch_size
        )
        _check_groups(teacher_channels, channel_groups)

"""Cross-image relational distillation with a memory: how alike each pixel is to those of earlier batches."""

from typing import Optional

import paddle
import paddle.nn as nn

from paddleseg.cvlibs import manager
from paddleseg.losses.base import MaskedLoss
from paddleseg.losses.checks import (
    check_alike,
    check_channels,
    check_count,
    check_maps,
    check_not_negative,
    check_positive,
    require_label,
)
from paddleseg.losses.class_queue import ClassQueue
from paddleseg.losses.common import full_precision, kl_divergence, mean_over, unit, widen
from paddleseg.losses.labels import class_means, class_members, resize_label_like, valid_mask

PIXELS_PER_CLASS = 16  # one image adds at most so many to the pixel queue, as published


@full_precision
def cirkd_memory_loss(
    student, teacher, memory, label=None, ignore_index=255, temperature=0.1, kd_temperature=1.0
):
    """Return the mean over the valid pixels of the divergence of their similarities to a memory.

    Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation", CVPR 2022,
    https://arxiv.org/abs/2204.06986. With every pixel's feature f of unit length over the channels, and
    the memory's vectors m,

        s[i, j] = f[i] . m[j] / T,   i over the P valid pixels of the batch, j over the Q vectors
        loss = 1 / P * sum over i of K^2 KL(softmax_j s_teacher / K || softmax_j s_student / K)

    Args:
        student: N x C x H x W, floating.
        teacher: the same shape. No gradient reaches it.
        memory: Q x C, of unit length each. No gradient reaches it.
        label: N x H' x W', int64, of any size (see `resize_label`); None if all are valid. Default None.
        ignore_index: the label of pixels that are left out. Default 255.
        temperature, kd_temperature: see `CIRKDMemoryLoss`.

    Returns:
        A scalar tensor, float32 (float64 for float64 inputs); 0 with zero gradient if no pixel is valid.

    Raises:
        UserError: the shapes do not match, or a temperature is not positive.
    """
    check_alike(student, teacher)
    check_maps(student, teacher)
    check_positive("temperature", temperature)
    check_positive("kd_temperature", kd_temperature)
    valid = valid_mask(student, label, ignore_index).flatten(1)
    ours = _similarity(student, memory, temperature)
    with paddle.no_grad():
        theirs = _similarity(teacher, memory, temperature)
    divergence = kl_divergence(ours, theirs, 2, kd_temperature)
    return mean_over((divergence * valid).sum(), valid.sum())


def _similarity(features, memory, temperature):
    """Return N x L x Q."""
    directions = unit(features.flatten(2), axis=1)
    return paddle.matmul(directions.transpose([0, 2, 1]), memory, transpose_y=True) / temperature


@manager.LOSSES.add_component
class CIRKDMemoryLoss(MaskedLoss):
    """Similarities to pixels and regions of earlier batches; see `cirkd_memory_loss`.

        loss = pixel_weight * (loss to the pixel memory) + region_weight * (loss to the region memory)

    Both memories hold the teacher's features, of unit length, in a queue for each class. In training, each
    image is added to the queues before it is compared: for each class in it, the mean of the class's pixels
    enters the region queue, and up to 16 of these pixels, drawn at random, enter the pixel queue. (The
    published code draws them from the image's first pixels, of any class; here they are of the class, as in
    the paper.) Each step compares with the same number of vectors of every class, drawn at random: contrast
    size // num_classes + 1. In eval mode the queues do not change.

    A 1x1 convolution, batch norm, ReLU and a 1x1 convolution, trained with the student, bring its features to
    the teacher's channels; no connector is needed. The published code gathers the features of all ranks for
    the queues; here each rank has its own queues, and a checkpoint stores those of all ranks. With the
    published sizes the queues take num_classes * 22000 * C * 4 bytes, in memory and in each checkpoint:
    428 MB for 19 classes and 256 channels.

    Args:
        pixel_weight, region_weight: 0 or above. Default 0.1 each.
        pixel_memory_size, region_memory_size: vectors of each class in the queues. Default 20000 and 2000.
        pixel_contrast_size, region_contrast_size: vectors of all classes together that a step compares with.
            Default 4096 and 1024.
        temperature: T > 0, of the similarities. Default 0.1.
        kd_temperature: K > 0, of the distributions. Default 1.0.

    Raises:
        UserError: the channels are not known, or a hyperparameter is out of its range.
    """

    needs_label = True
    function = staticmethod(cirkd_memory_loss)

    def __init__(
        self,
        num_classes: int,
        student_channels: Optional[int] = None,
        teacher_channels: Optional[int] = None,
        ignore_index: int = 255,
        pixel_weight: float = 0.1,
        region_weight: float = 0.1,
        pixel_memory_size: int = 20000,
        region_memory_size: int = 2000,
        pixel_contrast_size: int = 4096,
        region_contrast_size: int = 1024,
        temperature: float = 0.1,
        kd_temperature: float = 1.0,
    ):
        super().__init__(ignore_index=ignore_index, temperature=temperature, kd_temperature=kd_temperature)
        check_channels(self, student_channels=student_channels, teacher_channels=teacher_channels)
        counts = {
            "num_classes": num_classes,
            "pixel_memory_size": pixel_memory_size,
            "region_memory_size": region_memory_size,
            "pixel_contrast_size": pixel_contrast_size,
            "region_contrast_size": region_contrast_size,
        }
        for name, value in counts.items():
            check_count(name, value)
        check_not_negative("pixel_weight", pixel_weight)
        check_not_negative("region_weight", region_weight)
        check_positive("temperature", temperature)
        check_positive("kd_temperature", kd_temperature)
        self.num_classes = num_classes
        self.pixel_weight, self.region_weight = pixel_weight, region_weight
        self.pixel_sample = pixel_contrast_size // num_classes + 1
        self.region_sample = region_contrast_size // num_classes + 1
        self.projection = nn.Sequential(
            nn.Conv2D(student_channels, teacher_channels, 1, bias_attr=False),
            nn.BatchNorm2D(teacher_channels),
            nn.ReLU(),
            nn.Conv2D(teacher_channels, teacher_channels, 1, bias_attr=False),
        )
        self.pixels = ClassQueue(num_classes, pixel_memory_size, teacher_channels)
        self.regions = ClassQueue(num_classes, region_memory_size, teacher_channels)

    def forward(self, student, teacher, label=None):
        """Return the loss, a scalar, of N x C x H x W, N x C' x H x W and a label N x H' x W' (int64)."""
        check_maps(student, teacher)
        require_label("CIRKDMemoryLoss", label)
        label = resize_label_like(student, label)
        if self.training:
            self._remember(teacher, label)
        projected = self.projection(widen(student))
        loss = 0.0
        for queue, count, weight in (
            (self.pixels, self.pixel_sample, self.pixel_weight),
            (self.regions, self.region_sample, self.region_weight),
        ):
            loss = loss + weight * self.compute(projected, teacher, queue.sample(count), label=label)
        return loss

    @paddle.no_grad()
    @full_precision
    def _remember(self, teacher, label):
        """Add each image's pixels and regions, N x C x H x W, to the queues, one image after the other."""
        features = unit(teacher.flatten(2), axis=1)
        members = class_members(label, self.num_classes, self.ignore_index, features.dtype)
        means = unit(class_means(features, members), axis=2)
        present = (members > 0).any(axis=2)
        for image in range(features.shape[0]):
            self.regions.push(means[image].unsqueeze(1), present[image].unsqueeze(1))
            self.pixels.push(*self._draw_pixels(features[image], members[image]))

    def _draw_pixels(self, features, members):
        """Return random pixels for each class, K x M x C, and which of them are of that class, K x M."""
        L = features.shape[1]
        # Each pixel gets a random rank. A class takes its highest; pixels of other classes are below 0.
        ranks = paddle.where(members > 0, paddle.rand([L]), paddle.full([], -1.0))
        ranks, chosen = ranks.topk(min(PIXELS_PER_CLASS, L, self.pixels.size), axis=1)
        drawn = features.t().gather(chosen.flatten()).reshape([*chosen.shape, -1])
        return drawn, ranks >= 0

"""A model's logits at both of their sizes, and which outputs of several models are counterparts."""

import paddle.nn.functional as F

from paddleseg.losses.combine import output_list
from paddleseg.models.base import SegmentationModel


def head_logits(model, images, whole=False):
    """Return the list of logits of images N x 3 x H x W, each at the size at which the head gives it.

    That is before the last upsampling of a `SegmentationModel`; any other model's outputs are as they are.

    Args:
        model: a `paddle.nn.Layer`.
        images: float32.
        whole: whether to run all of `forward`, by which it also leaves on the model what it leaves there.
    """
    if not _has_head(model):
        return output_list(model(images))
    if not whole:
        return model.head_logits(images)
    return left_at_head(model, model(images))


def left_at_head(model, outputs):
    """Return what `head_logits` would give of a model whose forward pass has just returned `outputs`."""
    return list(model.head_logit_list) if _has_head(model) else output_list(outputs)


def upsampled(model, logits, size):
    """Return what `model(images)` gives of images of `size`, (H, W), from their `head_logits`, as a list."""
    return model.upsampled(logits, size) if _has_head(model) else list(logits)


def _has_head(model):
    # What a derived class's own `forward` does with the logits, none but itself knows.
    return isinstance(model, SegmentationModel) and type(model).forward is SegmentationModel.forward


def counterparts(*models):
    """Return [(output of each model), ...] of what may be compared or joined, the main outputs first.

    Each output has its counterparts where all models give as many. Otherwise the auxiliary ones have none (a
    model may lack them, or give them in training alone), and the main outputs stand by themselves.

    Args:
        *models: lists of logits, the main ones first.
    """
    if len({len(outputs) for outputs in models}) > 1:
        return [tuple(outputs[0] for outputs in models)]
    return list(zip(*models))


def smallest_size(*shapes):
    """Return the smallest (height, width) of maps N x C x H x W; None if they agree, or are no maps."""
    if any(len(shape) != 4 for shape in shapes) or all(shape[2:] == shapes[0][2:] for shape in shapes):
        return None
    return [min(lengths) for lengths in zip(*(shape[2:] for shape in shapes))]


def at_smallest(*tensors):
    """Return tensors as a tuple, maps resized bilinearly to the `smallest_size` of all."""
    size = smallest_size(*(tensor.shape for tensor in tensors))
    return tuple(
        tensor
        if size is None or tensor.shape[2:] == size
        else F.interpolate(tensor, size, mode="bilinear", align_corners=False)
        for tensor in tensors
    )

"""A model's logits at both of their sizes, and which outputs of several models are counterparts."""

from paddleseg.models.base import SegmentationModel
from paddleseg.models.losses.combine import output_list


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

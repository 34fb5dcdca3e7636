"""A model's logits at the head's and the image's size, and which outputs of several models correspond."""

from paddleseg.losses.combine import output_list
from paddleseg.models.base import SegmentationModel
from paddleseg.models.layers.interpolate import interpolate


def head_logits(model, images, whole=False):
    """Return the list of logits of images, each at the size at which the head gives it.

    That is before the last upsampling of a `SegmentationModel`. Any other model's outputs are returned as
    they are.

    Args:
        model: a `paddle.nn.Layer`.
        images: float32 N x 3 x H x W.
        whole: whether to run all of `forward`, so that it leaves its attributes on the model. Default False.
    """
    if not _has_head(model):
        return output_list(model(images))
    if not whole:
        return model.head_logits(images)
    return last_head_logits(model, model(images))


def last_head_logits(model, outputs):
    """Return the `head_logits` of a model whose forward pass has just returned `outputs`."""
    return list(model.head_logit_list) if _has_head(model) else output_list(outputs)


def upsampled(model, logits, size):
    """Return, from `head_logits`, the list that the model gives for images of `size`, (H, W)."""
    return model.upsampled(logits, size) if _has_head(model) else list(logits)


def _has_head(model):
    # A derived class with a `forward` of its own may do anything with the logits.
    return isinstance(model, SegmentationModel) and type(model).forward is SegmentationModel.forward


def counterparts(*models):
    """Return [(output of each model), ...]: the outputs that are compared or joined, the main ones first.

    Models with equally many outputs correspond output by output. Otherwise only the main outputs correspond:
    a model may lack auxiliary outputs, or give them in training only.

    Args:
        *models: a list of logits of each model, the main ones first.
    """
    if len({len(outputs) for outputs in models}) > 1:
        return [tuple(outputs[0] for outputs in models)]
    return list(zip(*models))


def smallest_size(*shapes):
    """Return the smallest (height, width) of maps N x C x H x W; None if all agree, or one is no map."""
    if any(len(shape) != 4 for shape in shapes) or all(shape[2:] == shapes[0][2:] for shape in shapes):
        return None
    return [min(lengths) for lengths in zip(*(shape[2:] for shape in shapes))]


def resize_to_smallest(*tensors):
    """Return tensors as a tuple, maps resized bilinearly to the `smallest_size` of all."""
    size = smallest_size(*(tensor.shape for tensor in tensors))
    return tuple(
        tensor
        if size is None or tensor.shape[2:] == size
        else interpolate(tensor, size, mode="bilinear", align_corners=False)
        for tensor in tensors
    )


def resize_message(student_shape, teacher_shape, teacher="teacher"):
    """Return a line for the log on how `resize_to_smallest` resizes two maps; None where it does not."""
    size = smallest_size(student_shape, teacher_shape)
    if size is None:
        return None
    student, other, smallest = (f"{h} x {w}" for h, w in (student_shape[2:], teacher_shape[2:], size))
    return f"the student's {student} and the {teacher}'s {other} are resized bilinearly to {smallest}"

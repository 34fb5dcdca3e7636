"""The logits of images: whole or in windows, at one or several scales, flipped or not."""

import contextlib
import functools
import itertools
import math

import paddle

from paddleseg.errors import UserError
from paddleseg.losses.combine import output_list
from paddleseg.models.layers.interpolate import interpolate
from paddleseg.options.inference import EvalConfig
from paddleseg.utils.modes import modes_restored

WHOLE = EvalConfig()
# What a model raises for images that it cannot compute.
MODEL_ERRORS = (ValueError, TypeError, AssertionError, RuntimeError)


@contextlib.contextmanager
def eval_mode(model):
    """Compute without gradients and with a model in eval mode; restore the modes of its layers at the end."""
    with modes_restored(model), paddle.no_grad():
        was_training = model.training
        model.eval()
        try:
            yield
        finally:
            if was_training:
                model.train()  # a user's own may undo what their `eval` has done


@paddle.no_grad()
def infer(model, images, size, config=WHOLE, trans_info=()):
    """Return the main logits of images at `size`, N x C x height x width; does not wait for the device.

    Args:
        model: in eval mode; maps N x 3 x H x W to a list of logits, the main one first.
        images: float32 N x 3 x H x W.
        size: (height, width) of the masks.
        config: an `EvalConfig`: windows, scales and flips. Default: none of these.
        trans_info: the changes of size by the transforms, as `Compose` lists them. They are undone, the last
            first. Logits that then have another size than `size` are resized bilinearly. Default: none.
    """
    net = functools.partial(_main_logits, model)
    if config.is_slide:
        net = functools.partial(_in_windows, net, config.crop_size, config.stride)
    logits = _augmented(net, images, config) if config.aug_eval else net(images)
    return _resized(_undone(logits, images.shape[2:], trans_info), size)


def classes(logits):
    """Return the class of each pixel, int64 N x H x W, of logits N x C x H x W."""
    return paddle.argmax(logits, axis=1)


def _in_windows(net, crop_size, stride, images):
    """Return the logits N x C x H x W of images from windows; where windows overlap, their mean.

    The windows of a row are `stride` apart, from the left. The last one ends where the image ends, so it may
    have a larger overlap. Rows likewise. As many windows run at once as together have at most the pixels of
    the images, so that memory is not larger than for whole images.

    Args:
        net: function from N x 3 x h x w to logits.
        crop_size: (width, height) of a window, which is cut to the size of a smaller image.
        stride: (width, height) from one window to the next, at most `crop_size`.
        images: N x 3 x H x W.
    """
    n, _, height, width = images.shape
    h, w = min(crop_size[1], height), min(crop_size[0], width)
    corners = list(itertools.product(_starts(height, h, stride[1]), _starts(width, w, stride[0])))
    together = max(height * width // (h * w), 1)
    total, count = None, paddle.zeros([1, 1, height, width])
    for first in range(0, len(corners), together):
        group = corners[first : first + together]
        crops = paddle.concat([images[:, :, top : top + h, left : left + w] for top, left in group])
        logits = _resized(net(crops), (h, w))
        if total is None:
            total = paddle.zeros([n, logits.shape[1], height, width])
        for (top, left), of_window in zip(group, paddle.split(logits, len(group))):
            total[:, :, top : top + h, left : left + w] += of_window.astype("float32")
            count[:, :, top : top + h, left : left + w] += 1
    return total / count


def _starts(length, window, stride):
    """Return where the windows of one axis begin."""
    steps = math.ceil((length - window) / stride)
    return [min(step * stride, length - window) for step in range(steps + 1)]


def _main_logits(model, images):
    logits = output_list(model(images))[0]
    if len(logits.shape) != 4:
        raise UserError(f"the model's first output must be N x C x H x W, not {list(logits.shape)}")
    return logits


def _augmented(net, images, config):
    """Return the mean over scales and flips of the logits, at the images' size."""
    height, width = images.shape[2:]
    flips = [[], [3]] if config.flip_horizontal else [[]]
    if config.flip_vertical:
        flips += [[*axes, 2] for axes in flips]
    total = 0
    for scale in config.all_scales:
        scaled = _resized(images, [max(int(side * scale + 0.5), 1) for side in (height, width)])
        for axes in flips:
            logits = net(paddle.flip(scaled, axes) if axes else scaled)
            logits = paddle.flip(logits, axes) if axes else logits
            total = total + _resized(logits, (height, width))
    return total / (len(config.all_scales) * len(flips))


def _undone(logits, size, trans_info):
    """Return logits of a transformed image of `size` with those changes of size undone."""
    for change, before in reversed(list(trans_info)):
        if change == "resize":
            logits = _resized(logits, before)
        elif change == "padding":  # at the right and at the bottom
            logits = _resized(logits, size)[:, :, : before[0], : before[1]]
        else:
            raise UserError(
                f"trans_info has {change!r}, which cannot be undone; known: 'resize' and 'padding'"
            )
        size = before
    return logits


def _resized(x, size):
    size = [int(side) for side in size]
    return x if list(x.shape[2:]) == size else interpolate(x, size, mode="bilinear")

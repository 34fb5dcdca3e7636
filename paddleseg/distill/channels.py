"""Explain in one line why a model cannot take the images of a training, such as grey ones for colour."""

import contextlib

import paddle.nn as nn

from paddleseg.errors import UserError, counted, one_line


@contextlib.contextmanager
def explain_failures(images, model, role, cfg=None, student_cfg=None):
    """Within this context, a model that cannot compute images raises a `UserError` that says why.

    Args:
        images: N x C x H x W.
        model: the model that is run on them.
        role: the model in words, such as "the student" or "teacher 0".
        cfg: the model's `Config`, for messages; None for none. Default None.
        student_cfg: the `Config` whose data sets the images come from. Default None.

    Raises:
        UserError: the model takes images of another number of channels, or a user's model fails.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        needed = input_channels(model)
        if _is_of_channels(error, needed, images):
            given = images.shape[1]
            places = [_place(cfg, needed, "model"), _place(student_cfg, given, "train_dataset")]
            raise UserError(
                f"{role} takes images of {counted(needed, 'channel')}{places[0]}, and those of this training "
                f"have {counted(given, 'channel')}{places[1]}; all models of a training see the "
                f"same images, so give them the same img_channels and in_channels"
            ) from error
        if type(model).__module__.startswith("paddleseg."):
            raise
        size = " x ".join(map(str, images.shape))
        place = "" if cfg is None else f"{cfg.place('model')}: "
        name = type(model).__name__
        raise UserError(
            f"{place}{role}: {name} cannot compute images {size}: {one_line(error)[-300:]}"
        ) from error


@contextlib.contextmanager
def explain_channels(images, student):
    """Within this context, an error is a `UserError` if images have other channels than a student takes."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        needed = input_channels(student)
        if _is_of_channels(error, needed, images):
            channels = counted(needed, "channel")
            raise UserError(f"images: {list(images.shape)}, and the student takes {channels}") from error
        raise


def _is_of_channels(error, needed, images):
    """Tell whether an error comes of images with other channels than a model needs; None is unknown."""
    return needed not in (None, images.shape[1]) and "channel" in str(error).lower()


def input_channels(model):
    """Return how many channels the first convolution of a model takes, None without one."""
    first = next(
        (layer for layer in model.sublayers(include_self=True) if isinstance(layer, nn.Conv2D)), None
    )
    return None if first is None else first._in_channels


def _place(cfg, channels, section):
    """Return " (file:line: key)" of a key that states channels, if possible in `section`; "" of no config."""
    return "" if cfg is None else f" ({cfg.place_of_channels(channels, section)})"

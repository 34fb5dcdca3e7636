"""Images in batches: read, run, and written as masks; an image that cannot be used is skipped."""

from typing import NamedTuple, Optional

import numpy as np
from errors import ImageError, UserError
from photographs import read_image
from transforms import prepared


class Input(NamedTuple):
    """An image as the model takes it.

    Attributes:
        file: its path.
        mask: the path of its mask.
        size: the photograph's (H, W).
        tensor: float32 1 x C x h x w.
    """

    file: str
    mask: str
    size: tuple
    tensor: np.ndarray


class Reader(NamedTuple):
    """Reads an image file as the model's input.

    Attributes:
        steps: functions of `transforms.steps_of`.
        shape: the model's [N, C, H, W], -1 for any size.
        img_range: as in `read_image`.
        most_pixels: as in `read_image`.
    """

    steps: list
    shape: list
    img_range: Optional[tuple]
    most_pixels: int

    def __call__(self, file, mask):
        """Return the `Input` of a file.

        Raises:
            ImageError: it cannot be read, or does not suit the model.
        """
        image = read_image(file, self.shape[1], self.img_range, self.most_pixels)
        tensor = prepared(image, self.steps)
        check_size(tensor, self.shape)
        return Input(file, mask, image.shape[:2], tensor)


def in_batches(inputs, most):
    """Yield lists of at most `most` inputs of equal size that follow each other."""
    batch = []
    for one in inputs:
        if batch and (len(batch) == most or batch[0].tensor.shape != one.tensor.shape):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def outputs_of(run, batch):
    """Return a model's output for each input of a batch: classes 1 x h x w or scores 1 x C x h x w.

    Args:
        run: a function from float32 N x C x H x W to classes N x h x w or scores N x C x h x w.
        batch: list of `Input` of equal size.

    Raises:
        ImageError: the model does not run on the batch, or its output is of another shape.
    """
    output = run(np.concatenate([one.tensor for one in batch]))
    if output.ndim not in (3, 4) or len(output) != len(batch):
        size = " x ".join(map(str, output.shape))
        raise ImageError(f"the model's output is {size}, and neither N x H x W nor N x C x H x W")
    return np.split(output, len(batch))


def check_size(batch, shape):
    """Refuse an image of another size than the model was exported for."""
    (height, width), (given_height, given_width) = shape[2:], batch.shape[2:]
    if height not in (-1, given_height) or width not in (-1, given_width):
        raise ImageError(
            f"the model takes {width} x {height} (width x height, -1 is any), and after the "
            f"deploy.yaml's transforms this image has {given_width} x {given_height}; export it without "
            f"--input_shape, or give the config an `export: transforms:` section with a Resize to that size"
        )


def check_batch_size(batch_size, shape):
    """Refuse batches of several images for a model that was exported for one."""
    if batch_size > 1 and shape[0] == 1:
        raise UserError(
            f"--batch_size {batch_size}: the model takes 1 image at once; export it for any number (-1)"
        )

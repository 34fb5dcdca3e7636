"""The images that ranges and latency are measured on, prepared as in the deployment."""

import numpy as np

from paddleseg.datasets.dataset import Dataset
from paddleseg.errors import UserError
from paddleseg.exporting.onnx_comparison import batch_of, deployed_preparation


def chosen(count, most, seed):
    """Return up to `most` of the numbers 0..count - 1, chosen by a seed, sorted."""
    return sorted(np.random.default_rng(seed).permutation(count)[:most].tolist())


def batches(cfg, dataset, indices, shape):
    """Yield images of a data set as float32 N x C x H x W, without its random transforms.

    Args:
        cfg: the `Config`; its deployed transforms are applied.
        dataset: a data set. Of a user's own class, which may not name files, samples are taken as they are.
        indices: the numbers of the images.
        shape: the input's [N, C, H, W], -1 where any size will do.

    Raises:
        UserError: an image cannot be read.
    """
    compose = deployed_preparation(cfg, shape[1])
    for index in indices:
        if isinstance(dataset, Dataset):
            image = compose({"img": dataset.file_list[index][0]})["img"]
        else:
            image = np.asarray(dataset[index]["img"], np.float32)
        yield batch_of(image, shape)


def refuse_empty(dataset, section):
    """Raise `UserError` for a data set without images."""
    if not len(dataset):
        raise UserError(f"{section} holds no image")


def refuse_size(cfg, dataset, shape):
    """Raise `UserError` for the first image of a data set that has another size than a graph takes.

    Args:
        cfg: the `Config`; its deployed transforms are applied, as in `deploy/infer.py`.
        dataset: a data set. Of a user's own class, which may not name files, nothing is checked.
        shape: the option `input_shape`: [N, C, H, W], -1 where any size will do; None for any.
    """
    sizes = (-1, -1) if shape is None else tuple(shape[2:])
    if sizes == (-1, -1) or not isinstance(dataset, Dataset):
        return
    compose = deployed_preparation(cfg, shape[1])
    for path, *_ in dataset.file_list:
        size = compose({"img": path})["img"].shape[1:]
        if any(fixed not in (-1, found) for fixed, found in zip(sizes, size)):
            raise UserError(
                f"input_shape {' '.join(map(str, shape))}: {path} has {size[0]} x {size[1]} pixels (H x W) "
                f"after the config's transforms; give H and W of all images, or -1 for any"
            )

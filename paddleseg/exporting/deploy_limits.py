"""Check at export what `deploy/infer.py`, which runs without this package, can do with the model."""

import numpy as np

from paddleseg.cvlibs.builder import build_transforms
from paddleseg.errors import UserError
from paddleseg.evaluation.photographs import MAX_CLASSES
from paddleseg.transforms import Compose
from paddleseg.transforms.common import declared, refuse_train_only
from paddleseg.utils.logger import logger

DEPLOYABLE = ("Resize", "ResizeByLong", "ResizeByShort", "LimitLong", "Normalize")
PROBES = ((61, 83), (83, 47))  # heights and widths that no config is written for


def check_transforms(cfg):
    """Refuse transforms that are for training only; warn of those that may be wrong or unknown to infer.py.

    Args:
        cfg: the model's config.

    Raises:
        UserError: a transform moves the image away from its mask, or cannot be built.
    """
    cfg.warn_of_preparation()
    specs = cfg.deployed_transforms()
    try:
        built = build_transforms(specs)
    except UserError as error:
        raise UserError(f"{cfg.path}: {cfg.deployed_section()}.{error}") from None
    refuse_train_only(built, f"{cfg.path}: transforms of a deployment")
    unknown = [
        spec["type"]
        for spec, transform in zip(specs, built)
        if spec["type"] not in DEPLOYABLE or not (spec["type"] == "Normalize" or declared(transform, "fixed"))
    ]
    if unknown:
        logger.warning(
            f"deploy/infer.py cannot do {', '.join(unknown)} as the deploy.yaml will list it; to use that "
            f"script, give the config an `export: transforms:` section without it"
        )


def warn_of_shape(cfg, shape, num_classes):
    """Warn of an input or an output that infer.py refuses, for some images or for all.

    Args:
        cfg: the model's config.
        shape: the input's [N, C, H, W], -1 where any size will do.
        num_classes: the model's number of classes.
    """
    count, _, height, width = shape
    if num_classes > MAX_CLASSES:
        logger.warning(
            f"the model has {num_classes} classes, but a mask of deploy/infer.py holds {MAX_CLASSES}; the "
            f"graph itself has no such limit"
        )
    if count not in (1, -1):
        logger.warning(f"input_shape: deploy/infer.py runs a model on one image at a time, not {count}")
    sizes = [] if height == width == -1 else _sizes_after(cfg)
    if not all(height in (-1, size[0]) and width in (-1, size[1]) for size in sizes):
        logger.warning(
            f"input_shape: deploy/infer.py skips images that are not {width} x {height} (width x height, -1 "
            f"is any) after the config's transforms, and these do not give every image that size"
        )


def _sizes_after(cfg):
    """Return the sizes, [(height, width)], to which the deployed transforms bring two images."""
    compose = Compose(build_transforms(cfg.deployed_transforms()), img_channels=cfg.img_channels)
    channels = [cfg.img_channels] if cfg.img_channels > 1 else []
    try:
        images = [compose({"img": np.zeros([*size, *channels], np.uint8)})["img"] for size in PROBES]
    except UserError:  # Padding refuses an image larger than its target; infer.py does not know Padding
        return []
    return [image.shape[1:] for image in images]

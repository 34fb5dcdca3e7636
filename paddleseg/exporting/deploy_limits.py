"""What `deploy/infer.py`, which stands without this package, cannot do with an export, told as it is made."""

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
    """Refuse transforms that a deployed image cannot go through; warn of those that infer.py alone lacks.

    Args:
        cfg: the model's config.

    Raises:
        UserError: one moves the image away from where its mask should lie, or cannot be built.
    """
    specs = cfg.deployed_transforms()
    try:
        built = build_transforms(specs)
    except UserError as error:
        raise UserError(f"{cfg.path}: {cfg.deployed_section()}.{error}") from None
    refuse_train_only(built, f"{cfg.path}: transforms of a deployment")
    lacking = [
        spec["type"]
        for spec, transform in zip(specs, built)
        if spec["type"] not in DEPLOYABLE or not (spec["type"] == "Normalize" or declared(transform, "fixed"))
    ]
    if lacking:
        logger.warning(
            f"deploy/infer.py has no way to do {', '.join(lacking)} as the deploy.yaml will list it; for "
            f"that script give the config an `export: transforms:` section without"
        )


def tell_of_shape(cfg, shape, num_classes):
    """Warn of an input or an output that infer.py refuses, of some images or of all.

    Args:
        cfg: the model's config.
        shape: the input's [N, C, H, W], -1 where it may be anything.
        num_classes: that the model tells apart.
    """
    count, _, height, width = shape
    if num_classes > MAX_CLASSES:
        told = (
            f"the model tells {num_classes} classes apart, but a mask of deploy/infer.py holds {MAX_CLASSES}"
        )
        logger.warning(f"{told}; the graph itself has no such limit")
    if count not in (1, -1):
        logger.warning(f"--input_shape: deploy/infer.py gives a model one image at a time, not {count}")
    sizes = [] if height == width == -1 else _sizes_after(cfg)
    if not all(height in (-1, size[0]) and width in (-1, size[1]) for size in sizes):
        logger.warning(
            f"--input_shape: deploy/infer.py will pass over an image unless it is {width} x {height} (width "
            f"x height, -1 is any) after the config's transforms, which do not make every image so"
        )


def _sizes_after(cfg):
    """Return the sizes, [(height, width)], that the deployed transforms bring two images to."""
    compose = Compose(build_transforms(cfg.deployed_transforms()), img_channels=cfg.img_channels)
    channels = [cfg.img_channels] if cfg.img_channels > 1 else []
    try:
        images = [compose({"img": np.zeros([*size, *channels], np.uint8)})["img"] for size in PROBES]
    except UserError:  # a Padding to less, of which infer.py knows nothing
        return []
    return [image.shape[1:] for image in images]

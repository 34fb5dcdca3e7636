"""What `deploy/infer.py`, which stands without this package, cannot do with an export, told as it is made."""

from paddleseg.core.deploy_file import DEPLOYED, deployed_transforms
from paddleseg.core.predict import MAX_CLASSES
from paddleseg.cvlibs.builder import build_transforms
from paddleseg.errors import UserError
from paddleseg.transforms.common import declared, refuse_train_only
from paddleseg.utils.logger import logger

DEPLOYABLE = ("Resize", "ResizeByLong", "ResizeByShort", "LimitLong", "Normalize")


def check_transforms(cfg):
    """Refuse transforms that a deployed image cannot go through; warn of those that infer.py alone lacks.

    Args:
        cfg: the model's config.

    Raises:
        UserError: one moves the image away from where its mask should lie, or cannot be built.
    """
    specs = deployed_transforms(cfg)
    section = next((name for name in DEPLOYED if (cfg.get(name) or {}).get("transforms")), None)
    try:
        built = build_transforms(specs)
    except UserError as error:
        raise UserError(f"{cfg.path}: {section}.{error}") from None
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
    fixed = height != -1 or width != -1
    if fixed and [width, height] not in _resized_to(deployed_transforms(cfg)):
        logger.warning(
            f"--input_shape: deploy/infer.py will pass over an image unless it is {width} x {height} (width "
            f"x height, -1 is any) after the config's transforms, and no Resize of theirs makes it so"
        )


def _resized_to(specs):
    """Return the sizes, [width, height], that transforms bring any image to."""
    resizes = [spec for spec in specs if spec["type"] == "Resize" and not spec.get("keep_ratio")]
    return [list(spec.get("target_size", (512, 512))) for spec in resizes]

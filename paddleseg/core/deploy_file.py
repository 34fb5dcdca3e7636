"""`deploy.yaml`: what a deployed model needs to know of its config, in PaddleSeg's form."""

import os

import yaml

from paddleseg.cvlibs.builder import build_transforms
from paddleseg.transforms.common import declared, refuse_train_only
from paddleseg.utils.logger import logger

# What deploy/infer.py, which stands without this package, can do to an image.
DEPLOYABLE = ("Resize", "ResizeByLong", "ResizeByShort", "LimitLong", "Normalize")
OUTPUT_DTYPES = {"argmax": "int32", "softmax": "float32", "none": "float32"}


def deployed_transforms(cfg, sections=("export", "val_dataset")):
    """Return the transforms of an image alone, as a config lists them in the first of `sections` that does.

    By default those of a deployment: of `export`, or else of evaluation. Where there are none, `Normalize`.
    """
    for section in sections:
        found = (cfg.get(section) or {}).get("transforms")
        if found:
            return found
    return [{"type": "Normalize"}]


def check_deployed_transforms(cfg):
    """Refuse transforms that a deployed image cannot go through; warn of those that infer.py alone lacks.

    Args:
        cfg: the model's config.

    Raises:
        UserError: one moves the image away from where its mask should lie, or cannot be built.
    """
    specs = deployed_transforms(cfg)
    built = build_transforms(specs)
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


def files_of(folder):
    """Return the names of the files that an export has left in a folder, as its `deploy.yaml` says."""
    try:
        with open(os.path.join(folder, "deploy.yaml"), encoding="utf-8") as file:
            deploy = yaml.safe_load(file)["Deploy"]
        return [name for name in map(deploy.get, ("model", "params")) if str(name).startswith("model.")]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return []


def write_deploy_file(folder, names, cfg, output_op, shape, num_classes):
    """Write `deploy.yaml` to a folder.

    Args:
        folder: an existing one.
        names: the files of the graph, {'model': ..., 'params': ...}; an ONNX file has no 'params'.
        cfg: the model's config.
        output_op: a key of `OUTPUT_DTYPES`.
        shape: the input's [N, C, H, W], -1 where it may be anything.
        num_classes: that the model tells apart.
    """
    deploy = {
        **names,
        "transforms": deployed_transforms(cfg),
        "input_shape": shape,
        "output_op": output_op,
        "output_dtype": OUTPUT_DTYPES[output_op],
        "num_classes": num_classes,
    }
    with open(os.path.join(folder, "deploy.yaml"), "w", encoding="utf-8") as file:
        yaml.safe_dump({"Deploy": deploy}, file, sort_keys=False)

"""What a deploy.yaml says of the model that lies beside it, checked."""

import os

import yaml
from errors import UserError

MAX_CLASSES = 256  # of a mask, whose pixels are bytes


def read_deploy_file(path):
    """Return the `Deploy` section of a deploy.yaml."""
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder; name the deploy.yaml in it")
    try:
        with open(path, encoding="utf-8") as file:
            deploy = yaml.safe_load(file)["Deploy"]
        missing = [key for key in ("model", "transforms") if key not in deploy]
        named, sums = [deploy[key] for key in ("model", "params") if key in deploy], deploy.get("sha256", {})
        if not all(isinstance(value, str) for value in [*named, *sums.values()]):
            raise TypeError
        if named and not named[0].endswith(".onnx") and not deploy.get("params"):
            missing.append("params, the file of the weights")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is no deploy.yaml, which export.py writes beside the model") from None
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}")
    num_classes = deploy.get("num_classes")  # PaddleSeg's own files do not say it
    refuse_too_many(num_classes if isinstance(num_classes, int) else 0)
    return deploy


def refuse_too_many(num_classes):
    """Refuse more classes than a mask tells apart, which would become others in it."""
    if num_classes > MAX_CLASSES:
        raise UserError(f"the model tells {num_classes} classes apart, but a mask holds {MAX_CLASSES}")


def input_shape(deploy):
    """Return what the model takes, [N, C, H, W], -1 being anything: N is 1 or -1, C 3 (RGB) or 1 (grey)."""
    shape = deploy.get("input_shape") or [-1, 3, -1, -1]
    if not isinstance(shape, list) or len(shape) != 4 or not all(isinstance(n, int) for n in shape):
        raise UserError(f"the deploy.yaml's input_shape must be N, C, H and W, whole numbers, not {shape!r}")
    if shape[1] not in (1, 3):
        raise UserError(f"the model takes images of {shape[1]} channels, and infer.py reads those of 1 or 3")
    if shape[0] not in (1, -1):
        raise UserError(f"the model takes {shape[0]} images at once; export it for 1, or for any number (-1)")
    return shape

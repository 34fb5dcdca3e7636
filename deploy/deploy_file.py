"""Read and check the deploy.yaml beside an exported model."""

import os

import yaml
from errors import UserError

MAX_CLASSES = 256  # a mask's pixels are bytes


def read_deploy_file(path):
    """Return the `Deploy` section of a deploy.yaml."""
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder; name the deploy.yaml in it")
    try:
        with open(path, encoding="utf-8") as file:
            deploy = yaml.safe_load(file)["Deploy"]
        missing = [key for key in ("model", "transforms") if key not in deploy]
        names = [deploy[key] for key in ("model", "params") if key in deploy]
        if not all(isinstance(value, str) for value in [*names, *deploy.get("sha256", {}).values()]):
            raise TypeError
        if names and not names[0].endswith(".onnx") and not deploy.get("params"):
            missing.append("params, the file of the weights")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path} is not a deploy.yaml as export.py writes it beside the model") from None
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}")
    for name in names:
        if os.path.basename(name) != os.path.normpath(name):
            raise UserError(
                f"{path} names {name!r}; the model's files must be in the folder of the deploy.yaml"
            )
    num_classes = deploy.get("num_classes")  # PaddleSeg's own files lack it
    check_num_classes(num_classes if isinstance(num_classes, int) else 0)
    return deploy


def check_num_classes(num_classes):
    """Refuse more classes than a mask holds; they would become others in it."""
    if num_classes > MAX_CLASSES:
        raise UserError(f"the model has {num_classes} classes, but a mask holds {MAX_CLASSES}")


def input_shape(deploy):
    """Return the input's [N, C, H, W]: N is 1 or -1, C the number of channels, -1 stands for any size."""
    shape = deploy.get("input_shape") or [-1, 3, -1, -1]
    if not isinstance(shape, list) or len(shape) != 4 or not all(isinstance(n, int) for n in shape):
        raise UserError(f"the deploy.yaml's input_shape must be N, C, H and W, whole numbers, not {shape!r}")
    if shape[1] < 1:
        raise UserError(
            f"the deploy.yaml's input_shape must name the channels, not {shape[1]}; export it again"
        )
    if shape[0] not in (1, -1):
        raise UserError(f"the model takes {shape[0]} images at once; export it for 1, or for any number (-1)")
    return shape


def img_range(deploy):
    """Return the (low, high) of images that become 0 and 255; None for the range of a file's type."""
    value = deploy.get("img_range")
    numbers = isinstance(value, list) and len(value) == 2 and all(isinstance(n, (int, float)) for n in value)
    if value is not None and not (numbers and value[0] < value[1]):
        raise UserError(f"the deploy.yaml's img_range must be [low, high], two numbers, not {value!r}")
    return value

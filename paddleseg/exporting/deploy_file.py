"""`deploy.yaml`: what a deployed model needs to know of its config, in PaddleSeg's form."""

import os

import yaml

from paddleseg.utils.save_dir import sha256

OUTPUT_DTYPES = {"argmax": "int32", "softmax": "float32", "none": "float32"}


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
        folder: where these files are.
        names: the files of the graph, {'model': ..., 'params': ...}; an ONNX file has no 'params'.
        cfg: the model's config.
        output_op: a key of `OUTPUT_DTYPES`.
        shape: the input's [N, C, H, W], -1 where it may be anything.
        num_classes: that the model tells apart.
    """
    deploy = {
        **names,
        "transforms": cfg.deployed_transforms(),
        "input_shape": shape,
        "output_op": output_op,
        "output_dtype": OUTPUT_DTYPES[output_op],
        "num_classes": num_classes,
        # So that a file that was cut off on its way is known: Paddle loads such weights.
        "sha256": {key: sha256(os.path.join(folder, name)) for key, name in names.items()},
    }
    with open(os.path.join(folder, "deploy.yaml"), "w", encoding="utf-8") as file:
        yaml.safe_dump({"Deploy": deploy}, file, sort_keys=False)

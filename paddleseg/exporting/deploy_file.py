"""`deploy.yaml`: what a deployed model needs of its config, in PaddleSeg's form."""

import os

import yaml

from paddleseg.errors import UserError
from paddleseg.utils.save_dir import file_digest
from paddleseg.weights.load import is_url

DEPLOY_FILE = "deploy.yaml"
RESULT_FILE = "quantization.json"  # the figures of an INT8 model; see `paddleseg.quantization.result`
OUTPUT_DTYPES = {"argmax": "int32", "softmax": "float32", "none": "float32"}
# What a file of other content raises where it is read.
_DAMAGE = (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError, RecursionError)


def deploy_section(folder):
    """Return the `Deploy` section of a folder's `deploy.yaml`, a dict that names a model file.

    Raises:
        UserError: there is no such file, or something else stands in it.
    """
    try:
        deploy = _read(folder)
        if not isinstance(deploy["model"], str):
            raise TypeError
        return deploy
    except _DAMAGE:
        path = os.path.join(folder, DEPLOY_FILE)
        raise UserError(f"{path} is not a deploy.yaml as export.py writes it") from None


def write_deploy_section(folder, deploy):
    """Write a `Deploy` section as the `deploy.yaml` of a folder."""
    with open(os.path.join(folder, DEPLOY_FILE), "w", encoding="utf-8") as file:
        yaml.safe_dump({"Deploy": deploy}, file, sort_keys=False)


def _read(folder):
    with open(os.path.join(folder, DEPLOY_FILE), encoding="utf-8") as file:
        return yaml.safe_load(file)["Deploy"]


def exported_files(folder):
    """Return the names of the files of an earlier export in a folder, [] if its `deploy.yaml` lists none.

    They are the model files, and the `RESULT_FILE` of a quantisation. The exporter deletes old files of these
    names, so only names that this project gives itself are returned.
    """
    try:
        deploy = _read(folder)
        names = [name for name in map(deploy.get, ("model", "params")) if str(name).startswith("model.")]
    except _DAMAGE:
        return []
    return [*names, RESULT_FILE] if names else []


def write_deploy_file(folder, names, cfg, output_op, shape, num_classes, precision="fp32", weights=None):
    """Write `deploy.yaml` to a folder.

    Args:
        folder: where the model's files are.
        names: the files of the graph, {'model': ..., 'params': ...}; an ONNX file has no 'params'.
        cfg: the model's config.
        output_op: a key of `OUTPUT_DTYPES`.
        shape: the input's [N, C, H, W], -1 where any size will do.
        num_classes: the model's number of classes.
        precision: of the model's weights: "fp32", "fp16" or "int8". Default "fp32".
        weights: the file or URL that the model's weights are from. Default: unknown.
    """
    deploy = {
        **names,
        "transforms": cfg.deployed_transforms(),
        "input_shape": shape,
        "output_op": output_op,
        "output_dtype": OUTPUT_DTYPES[output_op],
        "num_classes": num_classes,
        "precision": precision,
        # Paddle loads truncated weights without an error; the digest lets infer.py notice.
        "sha256": {key: file_digest(os.path.join(folder, name)) for key, name in names.items()},
    }
    # The report finds by it which training a model is from, and what images to evaluate it on.
    stored = weights if weights is None or is_url(weights) else os.path.abspath(weights)
    deploy["source"] = {"config": str(cfg.path), "weights": stored}
    if cfg.img_range is not None:
        deploy["img_range"] = list(cfg.img_range)
    write_deploy_section(folder, deploy)

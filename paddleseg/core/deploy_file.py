"""`deploy.yaml`: what a deployed model needs to know of its config, in PaddleSeg's form."""

import os

import yaml

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

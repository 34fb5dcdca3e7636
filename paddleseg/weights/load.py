"""Weights from a file into a layer, all of them or none."""

import os

import numpy as np

from paddleseg.errors import UserError
from paddleseg.utils.logger import logger
from paddleseg.weights.archive import WEIGHT_SUFFIXES
from paddleseg.weights.safe_pickle import read_pickle

# Those that NumPy has, little-endian; Paddle hands NumPy a bfloat16 as the uint16 of its bits.
SAFETENSORS_DTYPES = {
    "BOOL": "?",
    "BF16": "<u2",
    **{f"I{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    "C64": "<c8",
}
# What the published ImageNet weights of a backbone hold beyond the backbone: its classifier.
CLASSIFIER_PREFIXES = ("fc.", "out.", "classifier.", "_fc.")
SHAPES = "wrongly shaped"
SAME_MODEL = 0.5  # share of the weights that fit, below which a file is called another model's
HOW_TO_SKIP = "; with skip_mismatched_weights: True in the config, model.pretrained leaves such ones out"


def read_weights(source):
    """Return the dict of arrays that a file of weights holds; no code in the file is run.

    Args:
        source: path of a `.pdparams` or `.safetensors` file, of a folder with a `model.pdparams` or
            `model.safetensors` in it, or an http(s) URL of either such a file or an archive that holds one
            (fetched once, then kept; checked if `#sha256=` and the digest stand at the end).

    Returns:
        A dict from name to `numpy.ndarray`; bfloat16 comes as the uint16 of its bits.

    Raises:
        UserError: there is no such file, or it is no file of weights.
    """
    path = str(source)
    if path.startswith(("http://", "https://")):
        from paddleseg.weights.download import cached_file

        path = str(cached_file(path))
    if os.path.isdir(path):
        paths = [os.path.join(path, "model" + suffix) for suffix in WEIGHT_SUFFIXES]
        path = next(filter(os.path.isfile, paths), paths[0])
    if not os.path.isfile(path):
        raise UserError(f"no file of weights at {path}")
    weights = _read_safetensors(path) if path.endswith(".safetensors") else read_pickle(path)
    if not isinstance(weights, dict):
        raise UserError(f"{path} holds a {type(weights).__name__}, not a dict of weights")
    wrong = [str(k) for k, v in weights.items() if not isinstance(k, str) or not isinstance(v, np.ndarray)]
    if wrong:
        raise UserError(f"{path} is no file of weights: not an array under a name: {_listed(sorted(wrong))}")
    return weights


def _read_safetensors(path):
    # Few read this format, and the library need not be loaded for the others.
    from safetensors import SafetensorError, deserialize

    try:
        with open(path, "rb") as file:
            tensors = deserialize(file.read())
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read as weights: {error}") from error
    return {name: _array(path, name, told) for name, told in tensors}


def _array(path, name, told):
    dtype = SAFETENSORS_DTYPES.get(told["dtype"])
    if dtype is None:
        raise UserError(f"{path} holds {name} as {told['dtype']}, which NumPy does not have")
    return np.frombuffer(told["data"], dtype).reshape(told["shape"])


def load_weights(layer, source, ignored_prefixes=(), skip_mismatched=False):
    """Give `layer` the weights of a file, whose keys and shapes must be exactly its own.

    Args:
        layer: the `paddle.nn.Layer` to fill.
        source: as in `read_weights`.
        ignored_prefixes: keys of the file that begin so may be absent from the layer.
        skip_mismatched: leave what has another shape in the file as it is in the layer, and warn of each.

    Raises:
        UserError: keys that are missing, unexpected, of another shape, or whole numbers where others are
            floating; all of them are counted, the first ones named, and the layer is left as it was.
    """
    weights = read_weights(source)
    own = layer.state_dict()
    left_out = [k for k in weights if k not in own and k.startswith(tuple(ignored_prefixes))]
    name = type(layer).__name__
    skipped = _wrongly_shaped(own, weights) if skip_mismatched else {}
    for told in skipped.values():
        logger.warning(f"{name} keeps its own weight where {source} has another shape: {told}")
    weights = {k: v for k, v in weights.items() if k not in left_out and k not in skipped}
    mismatches = _mismatches({k: v for k, v in own.items() if k not in skipped}, weights)
    if any(mismatches.values()):
        another = _another_model(own, weights)
        most = 2 if another else 8
        told = "; ".join(f"{what} keys: {_listed(keys, most)}" for what, keys in mismatches.items() if keys)
        only_shapes = not another and [what for what, keys in mismatches.items() if keys] == [SHAPES]
        remedy = HOW_TO_SKIP if only_shapes else ""
        raise UserError(f"the weights in {source} are not those of {name}: {another}{told}{remedy}")
    layer.set_state_dict({**own, **{k: v.astype(_dtype(own[k])) for k, v in weights.items()}})
    without = f" (without its {', '.join(left_out)})" if left_out else ""
    logger.info(f"{name}: {len(weights)} weights loaded from {source}{without}")


def load_backbone_weights(layer, source):
    """`load_weights` for a backbone, whose published weights may bring an ImageNet classifier along."""
    load_weights(layer, source, CLASSIFIER_PREFIXES)


def _mismatches(own, weights):
    """Return what does not fit between tensors and arrays by key: a dict from the fault to its keys."""
    both = [k for k in own if k in weights]
    return {
        "missing": [k for k in own if k not in weights],
        "unexpected": [k for k in weights if k not in own],
        SHAPES: list(_wrongly_shaped(own, weights).values()),
        "wrongly typed": [
            f"{k} {weights[k].dtype} instead of {_dtype(own[k])}"
            for k in both
            if weights[k].dtype != _dtype(own[k]) and not _both_floating(weights[k].dtype, _dtype(own[k]))
        ],
    }


def _another_model(own, weights):
    """Return what to say first where so little fits that the file must be of another model, else ""."""
    fitting = sum(k in weights for k in own) - len(_wrongly_shaped(own, weights))
    if fitting >= SAME_MODEL * max(len(own), len(weights)):
        return ""
    return f"they look like another model's ({fitting} of its {len(own)} keys fit, of {len(weights)} there); "


def _wrongly_shaped(own, weights):
    """Return what to say of each array whose shape is not that of the tensor of its key, by key."""
    return {
        k: f"{k} {list(weights[k].shape)} instead of {list(own[k].shape)}"
        for k in own
        if k in weights and list(weights[k].shape) != list(own[k].shape)
    }


def _dtype(tensor):
    return np.dtype(str(tensor.dtype).split(".")[-1])


def _both_floating(one, other):
    return one.kind == other.kind == "f"


def _listed(keys, most=8):
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more

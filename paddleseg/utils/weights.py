"""Weights from a file into a layer, all of them or none."""

import os

import numpy as np
import paddle

from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

# What the published ImageNet weights of a backbone hold beyond the backbone: its classifier.
CLASSIFIER_PREFIXES = ("fc.", "out.", "classifier.", "_fc.")


def read_weights(source):
    """Return the dict of arrays that a `.pdparams` file holds.

    Args:
        source: path of the file, of a folder with a `model.pdparams` in it, or an http(s) URL of either
            the file or an archive that holds it (fetched once, then kept).

    Raises:
        UserError: there is no such file, or it is no file of weights.
    """
    path = str(source)
    if path.startswith(("http://", "https://")):
        from paddleseg.utils.download import cached_file

        path = str(cached_file(path))
    if os.path.isdir(path):
        path = os.path.join(path, "model.pdparams")
    if not os.path.isfile(path):
        raise UserError(f"no file of weights at {path}")
    try:
        weights = paddle.load(path, return_numpy=True)
    except Exception as error:
        told = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as weights: {told}") from error
    if not isinstance(weights, dict):
        raise UserError(f"{path} holds a {type(weights).__name__}, not a dict of weights")
    # Paddle adds a table of its own internal names, which is no weight.
    weights = {k: v for k, v in weights.items() if k != "StructuredToParameterName@@"}
    wrong = [str(k) for k, v in weights.items() if not isinstance(k, str) or not isinstance(v, np.ndarray)]
    if wrong:
        raise UserError(f"{path} is no file of weights: not an array under a name: {_listed(sorted(wrong))}")
    return weights


def load_weights(layer, source, ignored_prefixes=()):
    """Give `layer` the weights of a file, whose keys and shapes must be exactly its own.

    Args:
        layer: the `paddle.nn.Layer` to fill.
        source: as in `read_weights`.
        ignored_prefixes: keys of the file that begin so may be absent from the layer.

    Raises:
        UserError: keys that are missing, unexpected, of another shape, or whole numbers where others are
            floating; all of them are counted, the first ones named, and the layer is left as it was.
    """
    weights = read_weights(source)
    own = layer.state_dict()
    left_out = [k for k in weights if k not in own and k.startswith(tuple(ignored_prefixes))]
    weights = {k: v for k, v in weights.items() if k not in left_out}
    mismatches = _mismatches(own, weights)
    if any(mismatches.values()):
        told = "; ".join(f"{what} keys: {_listed(keys)}" for what, keys in mismatches.items() if keys)
        raise UserError(f"the weights in {source} are not those of {type(layer).__name__}: {told}")
    layer.set_state_dict({k: v.astype(_dtype(own[k])) for k, v in weights.items()})
    without = f" (without its {', '.join(left_out)})" if left_out else ""
    logger.info(f"{type(layer).__name__}: {len(weights)} weights loaded from {source}{without}")


def load_backbone_weights(layer, source):
    """`load_weights` for a backbone, whose published weights may bring an ImageNet classifier along."""
    load_weights(layer, source, CLASSIFIER_PREFIXES)


def _mismatches(own, weights):
    """Return what does not fit between tensors and arrays by key: a dict from the fault to its keys."""
    both = [k for k in own if k in weights]
    return {
        "missing": [k for k in own if k not in weights],
        "unexpected": [k for k in weights if k not in own],
        "wrongly shaped": [
            f"{k} {list(weights[k].shape)} instead of {list(own[k].shape)}"
            for k in both
            if list(weights[k].shape) != list(own[k].shape)
        ],
        "wrongly typed": [
            f"{k} {weights[k].dtype} instead of {_dtype(own[k])}"
            for k in both
            if weights[k].dtype != _dtype(own[k]) and not _both_floating(weights[k].dtype, _dtype(own[k]))
        ],
    }


def _dtype(tensor):
    return np.dtype(str(tensor.dtype).split(".")[-1])


def _both_floating(one, other):
    return one.kind == other.kind == "f"


def _listed(keys, most=8):
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more

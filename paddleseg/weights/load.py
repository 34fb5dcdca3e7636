"""Load weights from a file into a layer, all of them or none."""

import os

import numpy as np

from paddleseg.errors import UserError
from paddleseg.utils.logger import logger
from paddleseg.weights.archive import WEIGHT_SUFFIXES
from paddleseg.weights.safe_pickle import read_pickle

# {dtype of safetensors: NumPy's, little-endian}. A bfloat16 becomes the uint16 of its bits, as in Paddle.
SAFETENSORS_DTYPES = {
    "BOOL": "?",
    "BF16": "<u2",
    **{f"I{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    "C64": "<c8",
}
# The ImageNet classifier that published weights of a backbone also contain.
CLASSIFIER_PREFIXES = ("fc.", "out.", "classifier.", "_fc.")
SHAPES = "wrongly shaped"
SAME_MODEL = 0.5  # with a smaller share of fitting weights, the message says "another model's"
HOW_TO_SKIP = "; skip_mismatched_weights: True in the config loads model.pretrained without them"


def read_weights(source):
    """Return the dict of arrays that a file of weights holds; no code in the file is run.

    Args:
        source: path of a `.pdparams` or `.safetensors` file, or of a folder with a `model.pdparams` or
            `model.safetensors`; or an http(s) URL of such a file or of an archive with one such file, which
            is downloaded once and kept. With `#sha256=` and a digest at its end, the URL's file is checked.

    Returns:
        A dict from name to `numpy.ndarray`; a bfloat16 is given as the uint16 of its bits.

    Raises:
        UserError: there is no such file, or it does not hold weights.
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
        raise UserError(f"{path} holds other things than named arrays: {_listed(sorted(wrong))}")
    return weights


def _read_safetensors(path):
    # Imported here, since few files have this format.
    from safetensors import SafetensorError, deserialize

    try:
        with open(path, "rb") as file:
            tensors = deserialize(file.read())
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read as weights: {error}") from error
    for name, tensor in tensors:
        if tensor["dtype"] not in SAFETENSORS_DTYPES:
            raise UserError(f"{path} holds {name} as {tensor['dtype']}, which NumPy does not have")
    return {
        name: np.frombuffer(tensor["data"], SAFETENSORS_DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
        for name, tensor in tensors
    }


def load_weights(layer, source, ignored_prefixes=(), skip_mismatched=False):
    """Load the weights of a file into `layer`; keys and shapes must be the same.

    Args:
        layer: the `paddle.nn.Layer` to fill.
        source: as in `read_weights`.
        ignored_prefixes: keys of the file with these prefixes may be absent from the layer. Default ().
        skip_mismatched: whether to skip weights of another shape, with a warning for each. Default False.

    Raises:
        UserError: keys are missing, unexpected or of another shape, or hold whole numbers instead of
            floating-point ones. The message counts them and names the first; the layer stays as it was.
    """
    weights = read_weights(source)
    own = layer.state_dict()
    ignored = [k for k in weights if k not in own and k.startswith(tuple(ignored_prefixes))]
    name = type(layer).__name__
    skipped = _wrongly_shaped(own, weights) if skip_mismatched else {}
    for shapes in skipped.values():
        logger.warning(f"{name} keeps its own weight where {source} has another shape: {shapes}")
    weights = {k: v for k, v in weights.items() if k not in ignored and k not in skipped}
    mismatches = _mismatches({k: v for k, v in own.items() if k not in skipped}, weights)
    if mismatches:
        another = _another_model(own, weights)
        details = "; ".join(
            f"{kind} keys: {_listed(keys, 2 if another else 8)}" for kind, keys in mismatches.items()
        )
        remedy = HOW_TO_SKIP if not another and list(mismatches) == [SHAPES] else ""
        raise UserError(f"the weights in {source} are not those of {name}: {another}{details}{remedy}")
    layer.set_state_dict({**own, **{k: v.astype(_dtype(own[k])) for k, v in weights.items()}})
    without = f" (without its {', '.join(ignored)})" if ignored else ""
    logger.info(f"{name}: {len(weights)} weights loaded from {source}{without}")


def load_backbone_weights(layer, source):
    """Load a backbone's weights as `load_weights` does, but ignore an ImageNet classifier in the file."""
    load_weights(layer, source, CLASSIFIER_PREFIXES)


def _mismatches(own, weights):
    """Return the keys that do not fit between a layer's tensors and a file's arrays, as {kind: keys}."""
    both = [k for k in own if k in weights]
    mismatches = {
        "missing": [k for k in own if k not in weights],
        "unexpected": [k for k in weights if k not in own],
        SHAPES: list(_wrongly_shaped(own, weights).values()),
        "wrongly typed": [
            f"{k} {weights[k].dtype} instead of {_dtype(own[k])}"
            for k in both
            if weights[k].dtype != _dtype(own[k]) and not weights[k].dtype.kind == _dtype(own[k]).kind == "f"
        ],
    }
    return {kind: keys for kind, keys in mismatches.items() if keys}


def _another_model(own, weights):
    """Return a clause for the message if so few keys fit that the file must be another model's, else ""."""
    fitting = sum(k in weights for k in own) - len(_wrongly_shaped(own, weights))
    if fitting >= SAME_MODEL * max(len(own), len(weights)):
        return ""
    return f"they look like another model's ({fitting} of its {len(own)} keys fit, of {len(weights)} there); "


def _wrongly_shaped(own, weights):
    """Return {key: "key [shape] instead of [shape]"} of the arrays whose shape is not the tensor's."""
    return {
        k: f"{k} {list(weights[k].shape)} instead of {list(own[k].shape)}"
        for k in own
        if k in weights and list(weights[k].shape) != list(own[k].shape)
    }


def _dtype(tensor):
    return np.dtype(str(tensor.dtype).split(".")[-1])


def _listed(keys, most=8):
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more

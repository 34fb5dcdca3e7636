"""Load weights from a file into a layer, all of them or none."""

import os
from types import MappingProxyType

import numpy as np

from paddleseg.errors import UserError
from paddleseg.utils.logger import logger
from paddleseg.weights.archive import WEIGHT_SUFFIXES
from paddleseg.weights.safe_pickle import read_pickle
from paddleseg.weights.torch_file import is_torch_file, read_torch_file

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
# Keys that a training with fake quantisation adds: the ranges of activations, which other models lack.
RANGE_KEYS = tuple(f".{place}_range.{end}" for place in ("input", "output") for end in ("low", "high"))
SHAPES = "wrongly shaped"
SAME_MODEL = 0.5  # with a smaller share of fitting weights, the message says "another model's"
# With this the keys of a model begin that PyTorch's data parallelism wraps.
PARALLEL = "module."
HOW_TO_SKIP = "; skip_mismatched_weights: True in the config loads model.pretrained without them"


def is_url(path):
    """Tell whether the place of weights is an http or https URL."""
    return str(path).startswith(("http://", "https://"))


def read_weights(source):
    """Return the dict of arrays that a file of weights holds; no code in the file is run.

    Args:
        source: path of a `.pdparams`, `.safetensors`, `.pth` or `.pt` file, or of a folder with such a file
            called `model`; or an http(s) URL of such a file or of an archive with one such file, which is
            downloaded once and kept. With `#sha256=` and a digest at its end, the URL's file is checked.

    Returns:
        A dict from name to `numpy.ndarray`; a bfloat16 is given as the uint16 of its bits. Of a checkpoint of
        PyTorch that holds one dict of weights beside other things, such as `state_dict`, that dict.

    Raises:
        UserError: there is no such file, or it does not hold weights.
    """
    path = str(source)
    if is_url(path):
        from paddleseg.weights.download import cached_file

        path = str(cached_file(path))
    if os.path.isdir(path):
        paths = [os.path.join(path, "model" + suffix) for suffix in WEIGHT_SUFFIXES]
        path = next(filter(os.path.isfile, paths), paths[0])
    if not os.path.isfile(path):
        raise UserError(f"no file of weights at {path}")
    weights = _content(path)
    if not isinstance(weights, dict):
        raise UserError(f"{path} holds a {type(weights).__name__}, not a dict of weights")
    wrong = [str(k) for k, v in weights.items() if not isinstance(k, str) or not isinstance(v, np.ndarray)]
    if wrong:
        raise UserError(f"{path} holds other things than named arrays: {_listed(sorted(wrong))}")
    return weights


def _content(path):
    """Return what a file holds, by the format of its name or of its first bytes."""
    if path.endswith(".safetensors"):
        return _read_safetensors(path)
    return _state_dict(path, read_torch_file(path)) if is_torch_file(path) else read_pickle(path)


def _state_dict(path, content):
    """Return the weights of a file of PyTorch, which training scripts wrap in other things."""
    if not isinstance(content, dict):
        return content
    within = {key: value for key, value in content.items() if _is_weights(value)}
    if len(within) == 1 and not any(isinstance(value, np.ndarray) for value in content.values()):
        ((key, content),) = within.items()
        logger.info(f"the weights of {path} are under its key {key!r}")
    wrapped = bool(content) and all(str(key).startswith(PARALLEL) for key in content)
    return {key[len(PARALLEL) :]: value for key, value in content.items()} if wrapped else content


def _is_weights(value):
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(item, np.ndarray) for item in value.values())
    )


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


def load_weights(layer, source, ignored_prefixes=(), skip_mismatched=False, fixed=False):
    """Load the weights of a file into `layer`; keys and shapes must be the same.

    A file with the names of another framework is translated, see `torch_names`. The ranges of a training with
    fake quantisation are left out if the layer has none. A sublayer with a method
    `follow`, which takes the names of its own tensors in the file, may first take another form.

    Args:
        layer: the `paddle.nn.Layer` to fill.
        source: as in `read_weights`.
        ignored_prefixes: keys of the file with these prefixes may be absent from the layer. Default ().
        skip_mismatched: whether to skip weights of another shape, with a warning for each. Default False.
        fixed: whether sublayers keep their form, since an optimizer has their parameters. Default False.

    Raises:
        UserError: keys are missing, unexpected or of another shape, or hold whole numbers instead of
            floating-point ones. The message counts them and names the first; the layer's weights stay as
            they were.
    """
    # Imported here, since it imports Paddle.
    from paddleseg.weights.torch_names import translated

    reading = translated(layer, read_weights(source))
    weights = reading.weights
    if not fixed:
        _follow(layer, weights)
    own = layer.state_dict()
    ignored = [
        k
        for k in weights
        if k not in own and (k.startswith(tuple(ignored_prefixes)) or k.endswith(RANGE_KEYS))
    ]
    name = type(layer).__name__
    skipped = _wrongly_shaped(own, weights) if skip_mismatched else {}
    for shapes in skipped.values():
        logger.warning(f"{name} keeps its own weight where {source} has another shape: {shapes}")
    weights = {k: v for k, v in weights.items() if k not in ignored and k not in skipped}
    mismatches = _mismatches({k: v for k, v in own.items() if k not in skipped}, weights, reading.names)
    if mismatches:
        raise UserError(
            f"the weights in {source} are not those of {name}: {_details(layer, own, reading, mismatches)}"
        )
    layer.set_state_dict({**own, **{k: v.astype(_dtype(own[k])) for k, v in weights.items()}})
    _report(name, source, len(weights), reading, ignored)


def _follow(layer, weights):
    """Let sublayers take the form of the weights, by the names of their tensors in them."""
    for path, sublayer in layer.named_sublayers(include_self=True):
        if hasattr(sublayer, "follow"):
            prefix = path + "." if path else ""
            sublayer.follow({key[len(prefix) :] for key in weights if key.startswith(prefix)})


def _report(name, source, count, reading, ignored):
    """Log what has been loaded, and what has not."""
    left_out = sorted([*(key for key in ignored if not key.endswith(RANGE_KEYS)), *reading.left_out])
    if any(key.endswith(RANGE_KEYS) for key in ignored):
        left_out.append("ranges of activations")
    without = f" (without its {_listed(left_out)})" if left_out else ""
    whose = f", by the names of {reading.source}" if reading.source else ""
    logger.info(f"{name}: {count} weights loaded from {source}{whose}{without}")
    if reading.added:
        layers = list(dict.fromkeys(key.rpartition(".")[0] for key in reading.added))
        logger.info(
            f"{name}: the file has no {_listed(layers)}; these layers are set to change nothing in evaluation"
        )


def _details(layer, own, reading, mismatches):
    """Return what does not fit, and what to do, for the message."""
    whose = f"by the names of {reading.source}, " if reading.source else ""
    another = _another_model(own, reading.weights)
    listed = "; ".join(
        f"{kind} keys: {_listed(keys, 2 if another else 8)}" for kind, keys in mismatches.items()
    )
    if not another:
        return whose + listed + (HOW_TO_SKIP if list(mismatches) == [SHAPES] else "")
    return whose + another + listed + _other_place(layer, reading.weights)


def _other_place(layer, weights):
    """Return a clause on where the weights belong, if it is known, else ""."""
    from paddleseg.weights.torch_names import families, translated

    backbone = getattr(layer, "backbone", None)
    if hasattr(backbone, "state_dict"):
        own = backbone.state_dict()
        if translated(backbone, weights).fitting(own) >= SAME_MODEL * len(own):
            return "; they are its backbone's: name the file as pretrained of model.backbone"
    if any(key.endswith("running_var") for key in weights):
        return f"; the file has PyTorch's names, which are known of {', '.join(families())}"
    return ""


def load_backbone_weights(layer, source):
    """Load a backbone's weights as `load_weights` does, but ignore an ImageNet classifier in the file."""
    load_weights(layer, source, CLASSIFIER_PREFIXES)


def refuse_bits(own, weights, source):
    """Raise `UserError` for whole numbers in the place of floating ones, such as the bits of bfloat16.

    Args:
        own, weights: {key: tensor or array}.
        source: where the weights are from, for the message.
    """
    for key in own:
        if key in weights and _dtype(own[key]).kind == "f" != weights[key].dtype.kind:
            raise UserError(
                f"{source}: {key} is {weights[key].dtype} instead of {_dtype(own[key])}; convert the weights "
                f"to float32"
            )


def _mismatches(own, weights, names):
    """Return the keys that do not fit between a layer's tensors and a file's arrays, as {kind: keys}.

    Args:
        own, weights: {key: tensor or array}.
        names: {key: its name in the file}, where that differs.
    """
    both = [k for k in own if k in weights]
    mismatches = {
        "missing": [names.get(k, k) for k in own if k not in weights],
        "unexpected": [k for k in weights if k not in own],
        SHAPES: list(_wrongly_shaped(own, weights, names).values()),
        "wrongly typed": [
            f"{names.get(k, k)} {weights[k].dtype} instead of {_dtype(own[k])}"
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


def _wrongly_shaped(own, weights, names=MappingProxyType({})):
    """Return {key: "key [shape] instead of [shape]"} of the arrays whose shape is not the tensor's."""
    return {
        k: f"{names.get(k, k)} {list(weights[k].shape)} instead of {list(own[k].shape)}"
        for k in own
        if k in weights and list(weights[k].shape) != list(own[k].shape)
    }


def _dtype(tensor):
    return np.dtype(str(tensor.dtype).split(".")[-1])


def _listed(keys, most=8):
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more

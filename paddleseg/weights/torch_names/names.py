"""The registry of PyTorch's names, and the translation of a file's arrays into ours."""

import dataclasses
from typing import Callable, Dict, Sequence, Union

import numpy as np
import paddle.nn as nn

# The same tensors of a batch norm; other tensors of a layer, such as weight and bias, have equal names.
_TORCH_LEAVES = {"_mean": "running_mean", "_variance": "running_var"}
# PyTorch's count of a batch norm's steps, which Paddle's does not need.
_STEPS = "num_batches_tracked"
# The epsilon of batch norms, in both.
EPSILON = 1e-5


class _Identity:
    """Stands for the name of a convolution, or of its batch norm, that changes nothing; PyTorch has none."""


IDENTITY = _Identity()


@dataclasses.dataclass(frozen=True)
class TorchNames:
    """How PyTorch's files name the tensors of a family of layers.

    Batch norms' statistics, and the transposed weights of `nn.Linear`, need no rule.

    Attributes:
        source: whose files these are, such as "timm's resnet*d".
        layer_name: a function from the dotted name of a sublayer that holds tensors to PyTorch's, to
            `IDENTITY`, or to None where PyTorch has no such layer.
        left_out: prefixes of the keys that our layer does not have, such as a classifier's.
        value: a function from our key and PyTorch's array to the array that our layer needs. Default: the
            same array.
    """

    source: str
    layer_name: Callable[[str], Union[str, _Identity, None]]
    left_out: Sequence[str] = ()
    value: Callable[[str, np.ndarray], np.ndarray] = lambda key, array: array


@dataclasses.dataclass(frozen=True)
class Translation:
    """The arrays of a file under our keys.

    Attributes:
        source: whose names the file has; "" for ours.
        weights: {our key: array}; a key of the file that nothing needs keeps its name.
        names: {our key: the file's key}, of the keys that have another name there.
        left_out: keys of the file that are known not to be needed.
        added: our keys that the file lacks, and whose arrays change nothing.
    """

    source: str
    weights: Dict[str, np.ndarray]
    names: Dict[str, str] = dataclasses.field(default_factory=dict)
    left_out: Sequence[str] = ()
    added: Sequence[str] = ()

    def fitting(self, own):
        """Return how many of a layer's tensors have an array of the file by name and shape."""
        found = {k: array for k, array in self.weights.items() if k not in self.added}
        return sum(k in found and list(found[k].shape) == list(t.shape) for k, t in own.items())


_REGISTRY = {}


def register(class_name, names):
    """Let layers whose class, or a base of it, is called `class_name` be loaded from files with `names`."""
    _REGISTRY.setdefault(class_name, []).append(names)


def families():
    """Return the names of the classes whose tensors are known by PyTorch's names."""
    return sorted(_REGISTRY)


def translated(layer, weights):
    """Return the `Translation` of a file's arrays by which most tensors of a layer fit; ours if several do.

    Args:
        layer: the `paddle.nn.Layer` to fill.
        weights: {key of the file: array}.
    """
    families = [names for base in type(layer).__mro__ for names in _REGISTRY.get(base.__name__, ())]
    own = layer.state_dict()
    readings = [Translation("", weights), *(_read_as(names, layer, own, weights) for names in families)]
    return max(readings, key=lambda reading: reading.fitting(own))


def _read_as(names, layer, own, weights):
    linear = {name for name, sublayer in layer.named_sublayers() if isinstance(sublayer, nn.Linear)}
    found, there, added = {}, {}, []
    for key, tensor in own.items():
        prefix, _, leaf = key.rpartition(".")
        name = names.layer_name(prefix)
        if name is IDENTITY:
            found[key] = _identity(leaf, tuple(tensor.shape))
            added.append(key)
        elif name is not None:
            there[key] = f"{name}.{_TORCH_LEAVES.get(leaf, leaf)}".lstrip(".")
            if there[key] in weights:
                array = weights[there[key]]
                transposed = prefix in linear and leaf == "weight" and array.ndim == 2
                found[key] = names.value(key, array.T if transposed else array)
    used = set(there.values())
    others = [key for key in weights if key not in used and not key.endswith(_STEPS)]
    left_out = [key for key in others if key.startswith(tuple(names.left_out))]
    unexpected = {key: weights[key] for key in others if key not in left_out}
    return Translation(names.source, {**found, **unexpected}, there, left_out, added)


def _identity(leaf, shape):
    """Return a tensor of a convolution of one pixel, or of its batch norm, that together change nothing."""
    if len(shape) == 4:
        return np.eye(shape[0], dtype="float32").reshape(shape)
    # (x - 0) / sqrt(variance + epsilon) * 1 + 0
    constant = {"weight": 1.0, "_variance": 1.0 - EPSILON}.get(leaf, 0.0)
    return np.full(shape, constant, "float32")

"""The weights of `named_weights` for PyTorch's names (NumPy only)."""

import json

import numpy as np
from named_weights import weight

_LEAVES = {"running_mean": "_mean", "running_var": "_variance"}


def torch_weight(key, shape):
    """Return the array that stands for the tensor `key` of shape `shape`: float32, or int64 for a count."""
    prefix, _, leaf = key.rpartition(".")
    if leaf == "num_batches_tracked":
        return np.array(7, "int64")
    array = weight(f"{prefix}.{_LEAVES.get(leaf, leaf)}", tuple(shape))
    # Smaller scales of batch norms, or the maps of a hundred blocks would reach 1e12.
    return np.asarray(array * 0.5 if leaf == "weight" and len(shape) == 1 else array, "float32")


def network_weights(figures, name):
    """Return {key: array} of the network `name`, whose keys and shapes a file of `figures` holds as JSON."""
    shapes = json.loads(bytes(figures[f"{name} keys"]))
    return {key: torch_weight(key, shape) for key, shape in shapes.items()}

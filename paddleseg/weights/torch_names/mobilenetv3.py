"""torchvision's mobilenet_v3_small and _large as MobileNetV3_small_x1_0 and MobileNetV3_large_x1_0.

torchvision's network differs in four points. The layer takes over two of them, see `MobileNetV3.follow`: the
first block has no expansion, and squeezes are wider. The other two, the epsilon of batch norms and the slope
of the hard sigmoid, are put into the numbers.
"""

import re

from paddleseg.weights.torch_names.names import EPSILON, TorchNames, register

_EPSILON_THERE = 1e-3
# hardsigmoid(x) is clip(x / 6 + 1 / 2) there, and clip(x / 5 + 1 / 2) here.
_SLOPE_RATIO = 5 / 6


def _layer_name(squeezed):
    """Return the function from our layers' names to torchvision's.

    Args:
        squeezed: indices of the blocks with squeeze and excitation.
    """

    def layer_name(name):
        if name in ("conv.conv", "conv.bn"):
            return "features.0.0" if name == "conv.conv" else "features.0.1"
        match = re.fullmatch(r"blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if match is None or (match[1], match[2]) == ("0", "expand_conv"):
            return None
        index, part, layer = int(match[1]), match[2], match[3]
        parts = ["expand_conv", "bottleneck_conv", "mid_se", "linear_conv"]
        parts = [p for p in parts if not (p == "expand_conv" and index == 0)]
        parts = [p for p in parts if not (p == "mid_se" and index not in squeezed)]
        layer_there = {"conv": "0", "bn": "1", "conv1": "fc1", "conv2": "fc2"}[layer]
        return f"features.{index + 1}.block.{parts.index(part)}.{layer_there}"

    return layer_name


def _value(key, array):
    if key.endswith("._variance"):
        return array + array.dtype.type(_EPSILON_THERE - EPSILON)
    if ".mid_se.conv2." in key:
        return array * array.dtype.type(_SLOPE_RATIO)
    return array


def _names(size, squeezed, last):
    left_out = (f"features.{last}.", "classifier.")
    return TorchNames(f"torchvision's mobilenet_v3_{size}", _layer_name(squeezed), left_out, _value)


register("MobileNetV3_small", _names("small", (0, 3, 4, 5, 6, 7, 8, 9, 10), last=12))
register("MobileNetV3_large", _names("large", (3, 4, 5, 10, 11, 12, 13, 14), last=16))

"""torchvision's mobilenet_v2 as MobileNetV2_x1_0, and the same in an older implementation's names."""

import re

from paddleseg.weights.torch_names.names import IDENTITY, TorchNames, register

# Of each of our stages `conv2` to `conv8`: the number of its first block among torchvision's `features`.
_FIRST_BLOCKS = {"conv2": 1, "conv3": 2, "conv4": 4, "conv5": 7, "conv6": 11, "conv7": 14, "conv8": 17}
# Of each part of a block: its convolution and its batch norm in torchvision, and in the older
# implementation, whose blocks are one flat sequence with the activations.
_TORCHVISION = {"expand": ("0.0", "0.1"), "bottleneck": ("1.0", "1.1"), "linear": ("2", "3")}
_TORCHVISION_FIRST = {"bottleneck": ("0.0", "0.1"), "linear": ("1", "2")}
_FLAT = {"expand": ("0", "1"), "bottleneck": ("3", "4"), "linear": ("6", "7")}
_FLAT_FIRST = {"bottleneck": ("0", "1"), "linear": ("3", "4")}


def _layer_name(first_parts, parts):
    def layer_name(name):
        if name in ("conv1._conv", "conv1._batch_norm"):
            return "features.0.0" if name == "conv1._conv" else "features.0.1"
        match = re.fullmatch(
            r"(conv[2-8])\.(?:_first_block|\1_(\d+))\._(expand|bottleneck|linear)_conv\._(conv|batch_norm)",
            name,
        )
        if match is None:
            return None
        stage, number, part, kind = match.groups()
        block = _FIRST_BLOCKS[stage] + int(number or 1) - 1
        of_block = first_parts if block == 1 else parts
        if part not in of_block:
            return IDENTITY  # the expansion of the first block, to as many channels as it gets
        return f"features.{block}.conv.{of_block[part][kind != 'conv']}"

    return layer_name


_LEFT_OUT = ("features.18.", "classifier.")
register(
    "MobileNetV2",
    TorchNames("torchvision's mobilenet_v2", _layer_name(_TORCHVISION_FIRST, _TORCHVISION), _LEFT_OUT),
)
register(
    "MobileNetV2",
    TorchNames(
        "a mobilenet_v2 from before torchvision's", _layer_name(_FLAT_FIRST, _FLAT), (*_LEFT_OUT, "conv.")
    ),
)

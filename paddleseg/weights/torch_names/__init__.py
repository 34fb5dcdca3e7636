"""Where the tensors of our layers are in files with PyTorch's names; one file for each family of layers.

A family's file registers a `TorchNames` under the name of a layer's class or of a base of it:

    register("ResNet_vd", TorchNames("timm's resnet*d", layer_name, left_out=("fc.",)))
"""

from paddleseg.weights.torch_names import (  # noqa: F401  register
    hrnet,
    mix_transformer,
    mobilenetv2,
    mobilenetv3,
    resnet_vd,
)
from paddleseg.weights.torch_names.names import (
    IDENTITY,
    TorchNames,
    Translation,
    families,
    register,
    translated,
)

__all__ = ["IDENTITY", "TorchNames", "Translation", "families", "register", "translated"]

"""timm's resnet18d to resnet152d as ResNet18_vd to ResNet152_vd."""

import re

from paddleseg.weights.torch_names.names import IDENTITY, TorchNames, register

_STEM = {
    "conv1_1._conv": "conv1.0",
    "conv1_1._batch_norm": "conv1.1",
    "conv1_2._conv": "conv1.3",
    "conv1_2._batch_norm": "conv1.4",
    "conv1_3._conv": "conv1.6",
    "conv1_3._batch_norm": "bn1",
}


def _layer_name(of_basic_blocks):
    def layer_name(name):
        block = re.fullmatch(r"bb_(\d)_(\d+)\.(short|conv(\d))\._(conv|batch_norm)", name)
        if block is None:
            return _STEM.get(name)
        stage, index, part, number, kind = block.groups()
        prefix, is_conv = f"layer{int(stage) + 1}.{index}", kind == "conv"
        if part != "short":
            return f"{prefix}.{'conv' if is_conv else 'bn'}{int(number) + 1}"
        if of_basic_blocks and stage == "0":
            return IDENTITY  # the shortcut of the first block, which changes neither channels nor size
        return f"{prefix}.downsample.{1 if is_conv else 2}"

    return layer_name


register("ResNet18_vd", TorchNames("timm's resnet18d", _layer_name(of_basic_blocks=True), ("fc.",)))
register("ResNet34_vd", TorchNames("timm's resnet34d", _layer_name(of_basic_blocks=True), ("fc.",)))
for _depth in (50, 101, 152):
    _names = TorchNames(f"timm's resnet{_depth}d", _layer_name(of_basic_blocks=False), ("fc.",))
    register(f"ResNet{_depth}_vd", _names)

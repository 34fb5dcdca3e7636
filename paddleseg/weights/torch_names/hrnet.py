"""timm's HRNets, and those of the authors, which have the same names."""

import re

from paddleseg.weights.torch_names.names import TorchNames, register

_STEM = {
    "conv_layer1_1._conv": "conv1",
    "conv_layer1_1._batch_norm": "bn1",
    "conv_layer1_2._conv": "conv2",
    "conv_layer1_2._batch_norm": "bn2",
}
_MODULE = r"st(\d)\.stage_st\1_(\d+)\."
_BOTTLENECK = re.compile(r"la1\.bb_layer2_(\d+)\.conv(\d|_down)\._(conv|batch_norm)")
_TRANSITION = re.compile(r"tr(\d)\.transition_tr\1_layer_(\d)\._(conv|batch_norm)")
_BRANCH = re.compile(
    _MODULE + r"branches_func\.bb_st\1_\2_branch_layer_(\d)_(\d+)\.conv(\d)\._(conv|batch_norm)"
)
_FUSION = re.compile(_MODULE + r"fuse_func\.residual_st\1_\2_layer_(\d)_(\d)(?:_(\d))?\._(conv|batch_norm)")


def _in_block(number, kind):
    """Return the name of convolution `number` of a block, or of its batch norm."""
    return f"{'conv' if kind == 'conv' else 'bn'}{number}"


def _bottleneck(block, number, kind):
    part = f"downsample.{int(kind != 'conv')}" if number == "_down" else _in_block(number, kind)
    return f"layer1.{int(block) - 1}.{part}"


def _transition(stage, branch, kind):
    # The convolution to a new branch is one of a row.
    row = "0." if int(branch) > int(stage) else ""
    return f"transition{stage}.{int(branch) - 1}.{row}{int(kind != 'conv')}"


def _branch(stage, module, branch, block, number, kind):
    prefix = f"stage{stage}.{int(module) - 1}.branches.{int(branch) - 1}.{int(block) - 1}"
    return f"{prefix}.{_in_block(number, kind)}"


def _fusion(stage, module, to, source, number, kind):
    row = f"{int(number) - 1}." if number else ""
    prefix = f"stage{stage}.{int(module) - 1}.fuse_layers.{int(to) - 1}.{int(source) - 1}"
    return f"{prefix}.{row}{int(kind != 'conv')}"


_RULES = {_BOTTLENECK: _bottleneck, _TRANSITION: _transition, _BRANCH: _branch, _FUSION: _fusion}


def _layer_name(name):
    for pattern, there in _RULES.items():
        match = pattern.fullmatch(name)
        if match:
            return there(*match.groups())
    return _STEM.get(name)


_LEFT_OUT = ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier.")
register("HRNet", TorchNames("timm's hrnet", _layer_name, _LEFT_OUT))

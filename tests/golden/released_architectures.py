"""Makes architectures.jsonl, architectures_logits_64.npz and architectures_odd_size.npz with PaddleSeg 2.8.0.

Run it where that release, and not this package, is what `import paddleseg` finds:

    cd /tmp && PYTHONPATH= python REPOSITORY/tests/golden/released_architectures.py

It reads `name` and `model` of each line of architectures.jsonl, a config's section, and writes the line with
its figures: the number of keys, the SHA-256 of the sorted lines "key shape", and the numbers of outputs. The
other two files have every third row and column of each output, in training with the norms and dropouts in
evaluation, under the name and the output's number: of an image of 64 x 64; and of one of 65 x 97, with
`align_corners` of the architecture and of an HRNet.
"""

import hashlib
import json
import pathlib

import numpy as np
import paddle
import paddle.nn as nn
from named_weights import image, weight

from paddleseg import models  # noqa: F401 - registers them
from paddleseg.cvlibs import manager
from paddleseg.models.backbones.transformer_utils import DropPath

HERE = pathlib.Path(__file__).parent
# The norms of MobileNet are `BatchNorm`, and others on several processes `SyncBatchNorm`.
FROZEN = (nn.BatchNorm, nn.BatchNorm2D, nn.SyncBatchNorm, nn.Dropout, nn.Dropout2D, DropPath)
KEYS_ALONE = {
    "DeepLabV3 ResNet50_vd",
    *(f"FCN MobileNetV2_x{scale}" for scale in ("0_5", "0_75", "1_5", "2_0")),
    *(f"FCN MobileNetV3_small_x{scale}" for scale in ("0_5", "0_75", "1_25")),
    *(f"FCN MobileNetV3_large_x{scale}" for scale in ("0_35", "0_5", "0_75", "1_25")),
    *(f"SegFormer MixVisionTransformer_B{size}" for size in (1, 3, 4)),
    *(f"FCN HRNet_W{width}" for width in (30, 32, 40, 44, 60, 64)),
}
ODD_SIZE = (
    "DeepLabV3 ResNet50_vd",
    "PSPNet ResNet18_vd",
    "FCN ResNet18_vd",
    "UPerNet ResNet18_vd",
    "PPLiteSeg UAFM_SpAtten STDC1",
    "SegFormer MixVisionTransformer_B0",
    "FCN HRNet_W18_Small_V1",
    "OCRNet HRNet_W18_Small_V1",
)


def build(spec, align_corners=False):
    """Return the model that a config's section describes."""
    options = {key: value for key, value in spec.items() if key not in ("type", "backbone")}
    backbone = dict(spec["backbone"])
    if align_corners and backbone["type"].startswith("HRNet"):
        backbone["align_corners"] = True
    if align_corners and spec["type"] != "PPLiteSeg":
        options["align_corners"] = True
    with paddle.utils.unique_name.guard():  # some of PaddleSeg's parameters have fixed names
        trunk = manager.BACKBONES[backbone.pop("type")](**backbone)
        return manager.MODELS[spec["type"]](backbone=trunk, **options)


def figures_of(model):
    """Return what a line of architectures.jsonl holds of a model beside its name and section."""
    lines = sorted(f"{key} {list(value.shape)}" for key, value in model.state_dict().items())
    figures = {"num_keys": len(lines), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}
    for mode, key in ((model.eval, "num_eval"), (model.train, "num_train")):
        mode()
        with paddle.no_grad():
            figures[key] = len(model(paddle.zeros([2, 3, 64, 64])))
    return figures


def logits_of(model, height, width):
    """Return every third row and column of a model's outputs, each 1 x C x height x width."""
    state = model.state_dict()
    model.set_state_dict({key: paddle.to_tensor(weight(key, tuple(t.shape))) for key, t in state.items()})
    model.train()
    for layer in model.sublayers():
        if isinstance(layer, FROZEN):
            layer.eval()
    with paddle.no_grad():
        outputs = [one.numpy() for one in model(paddle.to_tensor(image(1, height, width, seed=7)))]
    assert all(one.shape == (1, 2, height, width) for one in outputs)
    return [one[:, :, ::3, ::3] for one in outputs]


def main():
    paddle.set_device("cpu")
    cases = [json.loads(line) for line in (HERE / "architectures.jsonl").read_text().splitlines()]
    lines, square, odd = [], {}, {}
    for case in cases:
        name, spec = case["name"], case["model"]
        model = build(spec)
        lines.append(json.dumps({"name": name, "model": spec, **figures_of(model)}))
        if name not in KEYS_ALONE:
            square.update({f"{name} {i}": one for i, one in enumerate(logits_of(model, 64, 64))})
        if name in ODD_SIZE:
            outputs = logits_of(build(spec, align_corners=True), 65, 97)
            odd.update({f"{name} {i}": one for i, one in enumerate(outputs)})
    (HERE / "architectures.jsonl").write_text("\n".join(lines) + "\n")
    np.savez_compressed(HERE / "architectures_logits_64.npz", **square)
    np.savez_compressed(HERE / "architectures_odd_size.npz", **odd)


if __name__ == "__main__":
    main()

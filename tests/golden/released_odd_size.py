"""Makes architectures_odd_size.npz with the released PaddleSeg 2.8.0.

Run it where that, and not this package, is what `import paddleseg` finds:

    cd /tmp && PYTHONPATH= python REPOSITORY/tests/golden/released_odd_size.py

Each entry is every third row and column of one output, in training with the norms and dropouts in evaluation,
of the image of 65 x 97, under the name in `architectures.jsonl` and the output's number; with `align_corners`
where the architecture has it, which all but PPLiteSeg do.
"""

import json
import pathlib

import numpy as np
import paddle
import paddle.nn as nn
from named_weights import image, weight

from paddleseg import models

HERE = pathlib.Path(__file__).parent
NAMES = (
    "DeepLabV3 ResNet50_vd",
    "PSPNet ResNet18_vd",
    "FCN ResNet18_vd",
    "UPerNet ResNet18_vd",
    "PPLiteSeg UAFM_SpAtten STDC1",
)


def logits_of(spec):
    """Return the outputs of the model that a config's section describes, arrays 1 x C x 65 x 97."""
    options = {key: value for key, value in spec.items() if key not in ("type", "backbone")}
    backbone = dict(spec["backbone"])
    trunk = getattr(models, backbone.pop("type"))(**backbone)
    if spec["type"] != "PPLiteSeg":
        options["align_corners"] = True
    model = getattr(models, spec["type"])(backbone=trunk, **options)
    model.set_state_dict(
        {key: paddle.to_tensor(weight(key, tuple(t.shape))) for key, t in model.state_dict().items()}
    )
    model.train()
    for layer in model.sublayers():
        # Of PaddleSeg's norms on several processes some are no BatchNorm2D.
        if isinstance(layer, (nn.BatchNorm2D, nn.SyncBatchNorm, nn.Dropout)):
            layer.eval()
    with paddle.no_grad():
        return [one.numpy() for one in model(paddle.to_tensor(image(1, 65, 97, seed=7)))]


def main():
    paddle.set_device("cpu")
    cases = map(json.loads, (HERE / "architectures.jsonl").read_text().splitlines())
    specs = {case["name"]: case["model"] for case in cases}
    arrays = {}
    for name in NAMES:
        for i, one in enumerate(logits_of(specs[name])):
            assert one.shape == (1, 2, 65, 97)
            arrays[f"{name} {i}"] = one[:, :, ::3, ::3]
    np.savez_compressed(HERE / "architectures_odd_size.npz", **arrays)


if __name__ == "__main__":
    main()

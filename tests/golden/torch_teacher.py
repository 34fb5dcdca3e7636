"""Writes torch_teacher.onnx, a small segmentation model of PyTorch, and its logits in torch_teacher.npz.

It stands for a teacher of another framework: a model of PyTorch's own layers, in BGR, normalised as models
of ImageNet are. Run by `python tests/golden/torch_teacher.py` where torch 2.13.0, onnx and onnxscript are
installed; the project needs none of them.
"""

import pathlib

import numpy as np
import onnx
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
MEAN, STD = (0.406, 0.456, 0.485), (0.225, 0.224, 0.229)  # blue, green, red


class TorchTeacher(nn.Module):
    """Three strided convolutions with batch norm, and a classifier at a stride of 4."""

    def __init__(self, num_classes=2, width=12):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.body = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
        )
        self.classifier = nn.Conv2d(2 * width, num_classes, 1)

    def forward(self, image):
        stem = self.stem(image)
        body = self.body(stem)
        return self.classifier(body), body


def _leave_out_where_it_was_made(path):
    """Take the exporter's notes out of a file: stack traces with the paths of the machine."""
    model = onnx.load(path)
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for noted in (model, graph, *graph.node, *values):
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    onnx.save(model, path)


def main():
    torch.manual_seed(0)
    model = TorchTeacher()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.5, 0.5)
                layer.running_var.uniform_(0.5, 2)
                layer.weight.uniform_(0.5, 2)
                layer.bias.uniform_(-0.5, 0.5)
    model.eval()
    sizes = {0: torch.export.Dim("N"), 2: torch.export.Dim("H"), 3: torch.export.Dim("W")}
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, 32, 32),),
        HERE / "torch_teacher.onnx",
        input_names=["image"],
        output_names=["logits", "body"],
        dynamic_shapes={"image": sizes},
        external_data=False,
        dynamo=True,
    )
    _leave_out_where_it_was_made(HERE / "torch_teacher.onnx")
    # Red, green and blue from 0 to 255, as they are before anybody normalises them.
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 33, 46)).astype("float32")
    mean, std = (np.array(values, "float32").reshape(1, 3, 1, 1) for values in (MEAN, STD))
    image = torch.from_numpy((pixels[:, ::-1] / 255 - mean) / std)
    with torch.no_grad():
        logits, body = model(image)
        whole = nn.functional.interpolate(logits, image.shape[2:], mode="bilinear", align_corners=False)
    np.savez_compressed(
        HERE / "torch_teacher.npz", pixels=pixels.astype("uint8"), logits=logits, body=body, whole=whole
    )


if __name__ == "__main__":
    main()

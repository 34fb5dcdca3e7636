"""Train a segmentation model in PyTorch and write it as an ONNX file, a teacher of another framework:

python benchmarks/train_torch_teacher.py data/camvid output/torch_teacher.onnx

The model is EfficientNet-Lite0 with its ImageNet weights and a feature pyramid. It learns CamVid in the
layout of PaddleSeg, from `train_list.txt`. `export_efficientnet.py` says how to install the packages that it
needs. OpenCV and NumPy are needed as well, but no Paddle.

The file maps RGB images N x 3 x H x W, (x - 127) / 128 of bytes, to `logits`, N x 11 x H/4 x W/4, and to the
map `stride_16` of the backbone, which has 112 channels.
"""

import argparse
import os
import random

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from export_efficientnet import export, load_backbone
from torch import nn

NUM_CLASSES, IGNORED = 11, 255
CHANNELS = {"stride_4": 24, "stride_8": 40, "stride_16": 112, "stride_32": 320}
OUTPUTS = ["logits", "stride_16"]
WIDTH = 96  # channels of the pyramid
SIZE = (360, 270)
CROP = 256  # a multiple of 32, for the backbone's paddings
SCALES = (0.75, 1.5)
BATCH_SIZE = 8
RATE, POWER, DECAY = 0.0005, 0.9, 0.01


class Pyramid(nn.Module):
    """The maps of a backbone, each projected, are added at stride 4 and classified there.

    Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019, with one projection for each map.
    """

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH))
            for channels in CHANNELS.values()
        )
        self.smooth = nn.Sequential(
            nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()
        )
        self.classifier = nn.Conv2d(WIDTH, NUM_CLASSES, 1)

    def forward(self, image):
        maps = dict(zip(CHANNELS, self.backbone(image)))
        size = maps["stride_4"].shape[-2:]
        projected = [project(x) for project, x in zip(self.projections, maps.values())]
        total = sum(F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in projected)
        return self.classifier(self.smooth(total)), maps["stride_16"]


def read_data(folder):
    """Return a list of (image, label): RGB H x W x 3 and H x W, both uint8 and of `SIZE`."""
    pairs = []
    with open(os.path.join(folder, "train_list.txt"), encoding="utf-8") as file:
        for line in file:
            image, label = (os.path.join(folder, name) for name in line.split())
            image = cv2.resize(cv2.cvtColor(cv2.imread(image), cv2.COLOR_BGR2RGB), SIZE)
            label = cv2.resize(cv2.imread(label, cv2.IMREAD_GRAYSCALE), SIZE, interpolation=cv2.INTER_NEAREST)
            pairs.append((image, label))
    return pairs


def augmented(image, label):
    """Return a crop of an image, 3 x `CROP` x `CROP`, and of its label, both changed at random."""
    scale = random.uniform(*SCALES)
    size = [round(side * scale) for side in SIZE]
    image = cv2.resize(image, size).astype(np.float32)
    label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    image = np.clip(image * random.uniform(0.7, 1.3) + random.uniform(-30, 30), 0, 255)
    padding = [(0, max(CROP - side, 0)) for side in label.shape]
    image = np.pad((image - 127) / 128, [*padding, (0, 0)])
    label = np.pad(label, padding, constant_values=IGNORED)
    top, left = (random.randint(0, side - CROP) for side in label.shape)
    image, label = (array[top : top + CROP, left : left + CROP] for array in (image, label))
    if random.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32), np.ascontiguousarray(label)


def batches(pairs):
    """Yield images N x 3 x H x W, float32, and labels N x H x W, int64, without end."""
    while True:
        order = random.sample(range(len(pairs)), len(pairs))
        for first in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
            chosen = [augmented(*pairs[number]) for number in order[first : first + BATCH_SIZE]]
            images, labels = map(np.stack, zip(*chosen))
            yield torch.from_numpy(images), torch.from_numpy(labels).long()


def train(model, pairs, iters):
    """Train a `Pyramid` with AdamW and a polynomial decay of the rate."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.PolynomialLR(optimizer, iters, POWER)
    model.train()
    for iteration, (images, labels) in zip(range(1, iters + 1), batches(pairs)):
        logits = F.interpolate(model(images)[0], size=(CROP, CROP), mode="bilinear", align_corners=False)
        loss = F.cross_entropy(logits, labels, ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        if iteration % 20 == 0:
            print(f"iteration {iteration} of {iters}: loss {loss.item():.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="A teacher on CamVid, trained in PyTorch.")
    parser.add_argument("data", help="the folder of CamVid")
    parser.add_argument("path", help="the ONNX file to write")
    parser.add_argument("--iters", type=int, default=600, help="iterations of 8 crops; default 600")
    args = parser.parse_args()
    os.makedirs(os.path.dirname(os.path.abspath(args.path)), exist_ok=True)
    random.seed(0)
    torch.manual_seed(0)
    model = Pyramid(load_backbone())
    export(model, args.path, CROP, OUTPUTS)  # what prevents this would be found after the training otherwise
    train(model, read_data(args.data), args.iters)
    export(model, args.path, CROP, OUTPUTS)


if __name__ == "__main__":
    main()

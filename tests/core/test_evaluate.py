import numpy as np
import paddle
import paddle.nn as nn
import paddle.nn.functional as F
import pytest
import tiny

from paddleseg.core.evaluate import _SharedBatches, evaluate, group_by_size
from paddleseg.errors import UserError


class Ragged:
    """Images and masks of several sizes, a few pixels of them ignored."""

    num_classes = 3
    ignore_index = 255
    sizes = ((8, 8), (8, 8), (16, 12), (8, 8), (5, 7))

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        label = rng.integers(0, 3, self.sizes[index])
        label[0, :2] = 255
        side = 6 if index == 3 else 8
        return {"img": rng.standard_normal((3, side, side)).astype("float32"), "label": label}


class Linear(nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 3, 1)

    def forward(self, x):
        return [self.conv(x)]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_pixel_is_counted_once_at_the_masks_own_size(batch_size, num_workers):
    paddle.seed(1)
    model, dataset = Linear(), Ragged()
    model.train()
    result = evaluate(model, dataset, 3, batch_size, num_workers)
    matrix = np.zeros((3, 3))
    for sample in (dataset[i] for i in range(len(dataset))):
        logits = model(paddle.to_tensor(sample["img"][None]))[0]
        logits = F.interpolate(logits, list(sample["label"].shape), mode="bilinear")
        predicted = logits.numpy().argmax(1)[0]
        kept = sample["label"] != 255
        np.add.at(matrix, (sample["label"][kept], predicted[kept]), 1)
    union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    np.testing.assert_allclose(result.class_iou, np.diag(matrix) / union, rtol=1e-12)
    assert result.acc == pytest.approx(np.trace(matrix) / matrix.sum())
    assert model.training


def test_images_of_equal_size_go_together():
    groups = group_by_size([Ragged()[i] for i in range(5)])
    shapes = [(images.shape, labels.shape) for images, labels in groups]
    assert shapes == [
        ((2, 3, 8, 8), (2, 8, 8)),
        ((1, 3, 8, 8), (1, 16, 12)),
        ((1, 3, 6, 6), (1, 8, 8)),
        ((1, 3, 8, 8), (1, 5, 7)),
    ]


@pytest.mark.parametrize(("samples", "nranks"), [(7, 2), (1, 3), (9, 3)])
def test_ranks_share_the_images_without_overlap(samples, nranks):
    ranks = [_SharedBatches(samples, 2, rank, nranks) for rank in range(nranks)]
    seen = sorted(index for rank in ranks for batch in rank for _, index in batch)
    assert seen == list(range(samples))
    assert all(len(list(rank)) == len(rank) for rank in ranks)


def test_an_output_that_is_no_map_of_the_classes_is_refused():
    with pytest.raises(UserError, match=r"first output has shape \[1, 2, 8, 8\].*N x 3 x H x W"):
        evaluate(tiny.TinyNet(num_classes=2), Ragged(), 3)


def test_an_empty_dataset_is_refused():
    class Empty(Ragged):
        sizes = ()

    with pytest.raises(UserError, match="holds no image"):
        evaluate(Linear(), Empty(), 3)

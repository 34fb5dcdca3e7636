"""Scores of small models against counts by NumPy and scikit-learn."""

import numpy as np
import paddle
import paddle.nn as nn
import paddle.nn.functional as F
import pytest
import tiny
from sklearn.metrics import roc_auc_score

from paddleseg import parallel
from paddleseg.datasets import OpticDiscSeg
from paddleseg.errors import UserError
from paddleseg.evaluation.evaluator import (
    SharedBatches,
    confusions_of_images,
    evaluate,
    fitting_batch_size,
    group_by_size,
)
from paddleseg.options.inference import EvalConfig
from paddleseg.transforms import Normalize, Resize


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


def resized_logits(model, sample, height=None, width=None):
    """Return the logits of a sample, cut to height x width, at the size of its mask: 1 x C x H x W."""
    logits = model(paddle.to_tensor(sample["img"][None]))[0][:, :, :height, :width]
    return F.interpolate(logits, list(sample["label"].shape), mode="bilinear").numpy()


def counted(samples, logits):
    """Return the confusion matrix of samples, and their IoU by class."""
    matrix = np.zeros((3, 3))
    for sample, own in zip(samples, logits):
        valid = sample["label"] != 255
        np.add.at(matrix, (sample["label"][valid], own.argmax(1)[0][valid]), 1)
    return matrix, np.diag(matrix) / (matrix.sum(0) + matrix.sum(1) - np.diag(matrix))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_pixel_is_counted_once_at_the_masks_own_size(batch_size, num_workers):
    paddle.seed(1)
    model, dataset = Linear(), Ragged()
    model.train()
    result = evaluate(model, dataset, 3, batch_size, num_workers)
    samples = [dataset[i] for i in range(5)]
    matrix, class_iou = counted(samples, [resized_logits(model, sample) for sample in samples])
    np.testing.assert_allclose(result.class_iou, class_iou, rtol=1e-12)
    assert result.acc == pytest.approx(np.trace(matrix) / matrix.sum())
    assert model.training


def test_images_of_equal_size_go_together():
    groups = group_by_size([Ragged()[i] for i in range(5)])
    assert all(group["trans_info"] == () for group in groups)
    shapes = [(group["img"].shape, group["label"].shape) for group in groups]
    assert shapes == [
        ((2, 3, 8, 8), (2, 8, 8)),
        ((1, 3, 8, 8), (1, 16, 12)),
        ((1, 3, 6, 6), (1, 8, 8)),
        ((1, 3, 8, 8), (1, 5, 7)),
    ]


class Padded(Ragged):
    """Images of 8 x 8 that were first resized to 4 x 6 or 5 x 6 and then padded."""

    sizes = ((8, 6), (7, 8), (8, 6))

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        height, width = self.sizes[index]
        return {**sample, "trans_info": [("resize", (height, width)), ("padding", (4 + index % 2, 6))]}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_padding_is_cut_off_before_anything_is_counted(num_workers):
    paddle.seed(1)
    model, dataset = Linear(), Padded()
    result = evaluate(model, dataset, 3, 3, num_workers)
    samples = [dataset[i] for i in range(3)]
    logits = [resized_logits(model, sample, 4 + i % 2, 6) for i, sample in enumerate(samples)]
    np.testing.assert_allclose(result.class_iou, counted(samples, logits)[1], rtol=1e-12)


def test_images_with_equal_changes_of_size_go_together():
    groups = group_by_size([Padded()[i] for i in range(3)])
    assert [group["img"].shape[0] for group in groups] == [2, 1]
    assert [group["trans_info"] for group in groups] == [
        (("resize", (8, 6)), ("padding", (4, 6))),
        (("resize", (7, 8)), ("padding", (5, 6))),
    ]


def test_auc_and_boundary_iou_are_measured_only_if_wanted():
    paddle.seed(1)
    model, dataset = Linear(), Ragged()
    plain = evaluate(model, dataset, 3)
    assert plain.auc_roc is plain.class_boundary_iou is plain.mean_boundary_iou is None
    assert not any("roc" in line or "Boundary" in line for line in plain.log_lines(5))
    config = EvalConfig(auc_roc=True, boundary_iou=True)
    one, several = (evaluate(model, dataset, 3, batch_size, config=config) for batch_size in (1, 5))
    assert one.miou == several.miou == plain.miou
    assert one.auc_roc == several.auc_roc
    scores, labels = [], []
    for sample in (dataset[i] for i in range(5)):
        logits = paddle.to_tensor(resized_logits(model, sample))
        valid = sample["label"] != 255
        scores.append(F.softmax(logits, axis=1)[0].numpy().transpose(1, 2, 0)[valid])
        labels.append(sample["label"][valid])
    scores = np.concatenate(scores).astype("float64")
    scores /= scores.sum(1, keepdims=True)  # scikit-learn wants it exact
    expected = roc_auc_score(np.concatenate(labels), scores, multi_class="ovr")
    assert one.auc_roc == pytest.approx(expected, abs=2e-3)  # of 400 pixels a few share a bin
    np.testing.assert_array_equal(one.class_boundary_iou, several.class_boundary_iou)
    summary, *_, name_and_classes = one.log_lines(5)
    assert f" Auc_roc: {one.auc_roc:.4f} Boundary mIoU: {one.mean_boundary_iou:.4f}" in summary
    assert name_and_classes.startswith("[EVAL] Class Boundary IoU: \n[0.")


def test_the_ignored_label_of_the_class_of_a_data_set_does_not_count():
    class Own:
        IGNORE_INDEX = 7

        def __len__(self):
            return 2

        def __getitem__(self, index):
            sample = Ragged()[index]
            return {**sample, "label": np.where(sample["label"] == 255, 7, sample["label"])}

    paddle.seed(1)
    model = Linear()
    got = evaluate(model, Own(), 3)
    Own.IGNORE_INDEX, Own.ignore_index = 255, 7
    assert got.acc == evaluate(model, Own(), 3).acc


def test_windows_and_scales_reach_the_model():
    class Seen(Linear):
        shapes = []

        def forward(self, x):
            self.shapes.append(tuple(x.shape))
            return super().forward(x)

    config = EvalConfig(aug_eval=True, scales=[1.5], is_slide=True, crop_size=[12, 4], stride=[12, 4])
    model = Seen()
    evaluate(model, Ragged(), 3, 1, config=config)
    assert set(model.shapes) == {(3, 3, 4, 12), (2, 3, 4, 9), (1, 3, 4, 9)}


@pytest.mark.parametrize(("samples", "nranks"), [(7, 2), (1, 3), (9, 3)])
def test_ranks_share_the_images_without_overlap(samples, nranks):
    ranks = [SharedBatches(samples, 2, rank, nranks) for rank in range(nranks)]
    seen = sorted(index for rank in ranks for batch in rank for _, index in batch)
    assert seen == list(range(samples))
    of_all = [sum(len(batch) for own in ranks for batch in own[k : k + 1]) for k in range(len(ranks[0]))]
    assert all(rank.sizes_of_all == of_all for rank in ranks)
    assert all(rank.count == len(of_all) for rank in ranks)


def test_an_output_for_other_classes_is_refused():
    with pytest.raises(UserError, match=r"first output has shape \[1, 2, 8, 8\].*N x 3 x H x W"):
        evaluate(tiny.TinyNet(num_classes=2), Ragged(), 3, 1)


def test_an_empty_dataset_is_refused():
    class Empty(Ragged):
        sizes = ()

    with pytest.raises(UserError, match="holds no image"):
        evaluate(Linear(), Empty(), 3)


@pytest.mark.parametrize(
    ("size", "on_cpu", "expected"),
    [
        ((64, 64), True, 16),
        ((128, 128), True, 4),
        ((512, 512), True, 1),
        ((512, 512), False, 4),
        ((9, 9), 1, 16),
    ],
)
def test_the_batch_size_follows_the_first_image(monkeypatch, size, on_cpu, expected):
    monkeypatch.setattr(parallel, "on_cpu", lambda: on_cpu)
    assert fitting_batch_size({"img": np.zeros((3, *size), "float32")}) == expected
    assert fitting_batch_size({"img": np.zeros((*size, 3), "uint8")}) == expected


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_images_normalised_on_the_device_score_the_same(tmp_path, monkeypatch, batch_size, num_workers):
    root = tiny.write_optic_disc(tmp_path / "data")
    dataset = OpticDiscSeg([Resize([24, 40]), Normalize()], root, "val")
    paddle.seed(0)
    model = tiny.TinyNet()
    expected = evaluate(model, dataset, 2, 1)
    for on_cpu in (True, False):
        monkeypatch.setattr(parallel, "on_cpu", lambda on_cpu=on_cpu: on_cpu)
        got = evaluate(model, dataset, 2, batch_size, num_workers)
        np.testing.assert_array_equal(got.class_iou, expected.class_iou)
        assert got.kappa == expected.kappa


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_matrices_of_images_of_several_sizes_are_in_the_order_of_the_dataset(batch_size, num_workers):
    paddle.seed(1)
    model, dataset = Linear(), Ragged()
    matrices = confusions_of_images(model, dataset, 3, batch_size, num_workers)
    for index, matrix in enumerate(matrices):
        sample = dataset[index]
        np.testing.assert_array_equal(matrix, counted([sample], [resized_logits(model, sample)])[0])


def test_the_batch_size_of_a_config_counts_unless_another_is_given():
    class Sizes(Linear):
        seen = ()

        def forward(self, x):
            self.seen += (len(x),)
            return super().forward(x)

    model, config = Sizes(), EvalConfig(batch_size=1)
    evaluate(model, Ragged(), 3, config=config)
    confusions_of_images(model, Ragged(), 3, config=config)
    assert model.seen == (1,) * 10
    evaluate(model, Ragged(), 3, 5, config=config)
    assert model.seen[10:] == (2, 1, 1, 1)

"""The variants that the benchmarks of the loader and of the evaluation compare do the same work."""

import argparse
import sys

import data
import eval as evaluation
import numpy as np
import paddle
import pytest
import tiny

from paddleseg.evaluation.evaluator import evaluate
from paddleseg.transforms import Normalize


@pytest.mark.skipif(sys.platform != "linux", reason="--cache_images works on Linux alone")
@pytest.mark.parametrize("chain", ["resize", "crop", "scale"])
def test_variants_of_the_loader_give_the_same_samples(tmp_path, chain):
    args = argparse.Namespace(data=None, images=4, size=64, batch=2, clock="wall")
    pairs = data.files(args, str(tmp_path))
    datasets = data.variants(pairs, chain, str(tmp_path / "cache"), side=48)
    data.check_same(datasets)
    assert datasets["ram"].image_cache.store.num_filled() == 4
    seconds = {name: [data.turn(dataset, 0, args)()] for name, dataset in datasets.items()}
    assert all(duration > 0 for (duration,) in seconds.values())
    rows = data.rows(chain, 0, seconds, len(pairs), args)
    assert [row[2] for row in rows] == ["plain", "none", "ram", "disk"]
    datasets["disk"] = datasets["disk"].__class__(str(tmp_path), [Normalize()], 2, train_path="")
    with pytest.raises(SystemExit, match="'disk' gives another sample 0 than 'plain'"):
        data.check_same(datasets)


def test_the_plain_evaluation_counts_as_the_toolkits(tmp_path):
    dataset = evaluation.photographs(64, 3, 5, str(tmp_path))
    paddle.seed(3)
    model = tiny.TinyNet(num_classes=3)
    model.eval()
    true, predicted, both = evaluation.plain(model, dataset, 3)
    scores = evaluate(model, dataset, 3)
    assert true.sum() == predicted.sum() == 5 * 60 * 64
    np.testing.assert_array_equal(scores.class_iou, both / (true + predicted - both))

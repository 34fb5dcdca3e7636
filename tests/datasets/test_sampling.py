import random

import numpy as np
import paddle
import pytest

from paddleseg.datasets import EpochBatches, SeededSamples, sample_rng
from paddleseg.errors import UserError


class Own:
    """A user's data set, whose transforms draw from the global generators."""

    def __init__(self, make=lambda img, label: {"img": img, "label": label}):
        self.make = make

    def __len__(self):
        return 10

    def __getitem__(self, index):
        noise = np.random.rand(3, 2, 2) + random.random()
        return self.make(noise + index, np.full((2, 2), index % 2, np.uint8))


class OfOurs(Own):
    def sample(self, index, rng):
        return {"img": np.full((3, 2, 2), rng.random()), "label": np.full((2, 2), index, np.uint8)}


def test_batches_are_the_permutation_in_order():
    batches = list(EpochBatches(10, 3, iters=7, seed=5))
    assert EpochBatches(10, 3, iters=7, seed=5).iters_per_epoch == 3
    for epoch in range(2):
        order = np.random.default_rng([5, epoch]).permutation(10)[:9]
        got = [key for batch in batches[3 * epoch : 3 * epoch + 3] for key in batch]
        assert got == [(epoch, index) for index in order]
    assert len(batches) == 7
    assert batches[6][0][0] == 2


def test_ranks_share_what_one_rank_sees():
    one = list(EpochBatches(11, 4, iters=6, seed=1))
    two = [list(EpochBatches(11, 2, iters=6, seed=1, rank=rank, nranks=2)) for rank in range(2)]
    assert one == [first + second for first, second in zip(*two)]


def test_resuming_needs_no_replay():
    whole = EpochBatches(10, 4, iters=9, seed=2)
    rest = EpochBatches(10, 4, iters=9, seed=2, start_iter=5)
    assert list(rest) == list(whole)[5:]
    assert len(rest) == 4
    assert len(EpochBatches(10, 4, iters=3, seed=2, start_iter=5)) == 0


def test_unshuffled_order():
    assert list(EpochBatches(4, 2, iters=3, seed=0, shuffle=False)) == [
        [(0, 0), (0, 1)],
        [(0, 2), (0, 3)],
        [(1, 0), (1, 1)],
    ]


def test_too_few_samples():
    EpochBatches(8, 4, iters=1, seed=0, nranks=2)
    with pytest.raises(UserError, match="7 samples.*batch_size 4 x 2 processes = 8"):
        EpochBatches(7, 4, iters=1, seed=0, nranks=2)


def test_every_key_has_its_own_stream():
    keys = [(seed, epoch, index) for seed in range(3) for epoch in range(3) for index in range(3)]
    draws = {sample_rng(*key).random() for key in keys} | {
        np.random.default_rng([0, e]).random() for e in range(3)
    }
    assert len(draws) == 30
    assert sample_rng(1, 2, 3).random() == sample_rng(1, 2, 3).random()


def test_samples_draw_from_their_generator():
    got = SeededSamples(OfOurs(), 7)[2, 3]
    np.testing.assert_array_equal(got["img"], np.full((3, 2, 2), np.float32(sample_rng(7, 2, 3).random())))
    assert got["img"].dtype == np.float32
    assert got["label"].dtype == np.int64
    assert set(got) == {"img", "label"}


def test_global_generators_are_seeded_and_put_back():
    samples = SeededSamples(Own(), 7)
    np.random.seed(1)
    random.seed(1)
    first = samples[0, 3]["img"]
    after = np.random.rand(), random.random()
    np.random.seed(1)
    random.seed(1)
    assert after == (np.random.rand(), random.random())
    np.testing.assert_array_equal(samples[0, 3]["img"], first)
    assert not np.array_equal(samples[1, 3]["img"], first)
    assert not np.array_equal(SeededSamples(Own(), 8)[0, 3]["img"], first)


def test_generators_are_put_back_after_an_error():
    np.random.seed(3)
    with pytest.raises(ZeroDivisionError):
        SeededSamples(Own(lambda img, label: 1 / 0), 0)[0, 0]
    after = np.random.rand()
    np.random.seed(3)
    assert after == np.random.rand()


def test_pairs_are_samples_too():
    pair, named = SeededSamples(Own(lambda img, label: (img, label)), 0), SeededSamples(Own(), 0)
    np.testing.assert_array_equal(pair[0, 1]["img"], named[0, 1]["img"])
    np.testing.assert_array_equal(pair[0, 1]["label"], named[0, 1]["label"])
    assert len(pair) == 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda img, label: img, "a ndarray"),
        (lambda img, label: {"image": img, "label": label}, r"a dict of \['image', 'label'\]"),
        (lambda img, label: (img, label, 1), "a tuple"),
    ],
)
def test_other_samples_are_refused(make, message):
    with pytest.raises(UserError, match=f"a sample of Own must be .*{message}"):
        SeededSamples(Own(make), 0)[0, 0]


@pytest.mark.parametrize("kind", [Own, OfOurs])
def test_workers_change_nothing(kind):
    paddle.set_device("cpu")
    runs = []
    for workers in (0, 2):
        batches = EpochBatches(10, 4, iters=5, seed=3, start_iter=1)
        loader = paddle.io.DataLoader(
            SeededSamples(kind(), 3), batch_sampler=batches, num_workers=workers, use_shared_memory=False
        )
        assert len(loader) == 4
        runs.append([(batch["img"].numpy(), batch["label"].numpy()) for batch in loader])
    assert len(runs[0]) == len(runs[1]) == 4
    for (image, label), (other_image, other_label) in zip(*runs):
        assert image.shape == (4, 3, 2, 2)
        np.testing.assert_array_equal(image, other_image)
        np.testing.assert_array_equal(label, other_label)

import random

import numpy as np
import paddle
import pytest

from paddleseg.datasets import EpochBatches, SeededSamples, sample_rng
from paddleseg.datasets.sampling import ReplacedSamples
from paddleseg.errors import SampleError, UserError


class Own:
    """A user's data set; its transforms draw from the global generators."""

    def __init__(self, make=lambda img, label: {"img": img, "label": label}):
        self.make = make

    def __len__(self):
        return 10

    def __getitem__(self, index):
        noise = np.random.rand(3, 2, 2) + random.random()
        return self.make(noise + index, np.full((2, 2), index % 2, np.uint8))


class WithGenerator(Own):
    """A data set whose samples are drawn from the generator that they get."""

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


def test_without_shuffling_every_epoch_has_the_order_of_the_data_set():
    assert list(EpochBatches(4, 2, iters=3, seed=0, shuffle=False)) == [
        [(0, 0), (0, 1)],
        [(0, 2), (0, 3)],
        [(1, 0), (1, 1)],
    ]


def test_views_repeat_and_the_order_does_not():
    endless, repeated = (list(EpochBatches(10, 3, iters=15, seed=5, views=views)) for views in (None, 2))
    for i, (keys, expected) in enumerate(zip(repeated, endless)):
        assert [index for _, index in keys] == [index for _, index in expected]
        assert {view for view, _ in keys} == {i // 3 % 2}
    assert [view for view, _ in list(EpochBatches(4, 4, iters=3, seed=0, views=1))[2]] == [0] * 4
    rest = EpochBatches(10, 3, iters=15, seed=5, start_iter=8, views=2)
    assert list(rest) == repeated[8:]


def test_fewer_samples_than_a_batch_are_refused():
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
    got = SeededSamples(WithGenerator(), 7)[2, 3]
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


@pytest.mark.parametrize("paired", [False, True])
def test_a_mask_of_1_x_h_x_w_is_one_of_h_x_w(paired):
    def made(img, label):
        return (img, label[None]) if paired else {"img": img, "label": label[None]}

    label = SeededSamples(Own(made), 0)[0, 1]["label"]
    np.testing.assert_array_equal(label, np.ones((2, 2)))


def test_a_number_may_be_the_label():
    assert SeededSamples(Own(lambda img, label: (img, np.int64(7))), 0)[0, 1]["label"].shape == ()


@pytest.mark.parametrize("shape", [(2,), (2, 2, 2), (1, 1, 2, 2)])
def test_a_label_that_is_no_mask_is_refused(shape):
    message = "the label of a sample of Own must be H x W, one class for each pixel, not of the shape"
    with pytest.raises(UserError, match=f"^{message} .{', '.join(map(str, shape))}.$"):
        SeededSamples(Own(lambda img, label: {"img": img, "label": np.zeros(shape, int)}), 0)[0, 1]


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


@pytest.mark.parametrize("kind", [Own, WithGenerator])
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


class Damaged(WithGenerator):
    """Some of its samples cannot be read, and one is wrong in another way."""

    def __init__(self, *damaged, wrong=None):
        super().__init__()
        self.damaged = damaged
        self.wrong = wrong

    def sample(self, index, rng):
        if index in self.damaged:
            raise SampleError(f"cannot read image '{index}.jpg'")
        if index == self.wrong:
            raise UserError(f"the mask '{index}.png' holds 7")
        return super().sample(index, rng)


def replaced(*damaged, max_bad, seed=0, wrong=None):
    return ReplacedSamples(SeededSamples(Damaged(*damaged, wrong=wrong), seed), seed, max_bad)


def test_without_damage_nothing_changes():
    samples = SeededSamples(WithGenerator(), 0)
    for key in ((0, 3), (5, 9)):
        got, expected = replaced(max_bad=4)[key], samples[key]
        assert all(np.array_equal(got[name], expected[name]) for name in expected)


def test_the_replacement_of_a_damaged_sample_is_a_function_of_its_key(capsys):
    healthy = SeededSamples(WithGenerator(), 0)
    chosen = {}
    for epoch in range(6):
        sample = replaced(1, 4, 5, max_bad=3)[epoch, 4]
        chosen[epoch] = int(sample["label"][0, 0])
        # It is the sample of that index and epoch.
        np.testing.assert_array_equal(sample["img"], healthy[epoch, chosen[epoch]]["img"])
        # Neither the samples read before nor other damaged samples that are not drawn matter.
        others = replaced(4, max_bad=9)
        for index in (7, 1, 4):
            others[epoch, index]
        if not {1, 5} & others.read((epoch, 4))[1].keys():
            assert int(others[epoch, 4]["label"][0, 0]) in (chosen[epoch], 1, 5)
    assert not {1, 4, 5} & set(chosen.values())
    assert len(set(chosen.values())) > 1
    assert {int(replaced(4, max_bad=1, seed=seed)[0, 4]["label"][0, 0]) for seed in range(9)} > {chosen[0]}
    capsys.readouterr()


def test_a_sample_has_the_key_of_what_was_read():
    samples = ReplacedSamples(SeededSamples(Damaged(4), 0), 0, 1, with_keys=True)
    assert samples[1, 3]["key"] == (1, 3)
    view, index = samples[1, 4]["key"]
    assert view == 1
    assert index == int(samples[1, 4]["label"][0, 0]) != 4
    assert "key" not in replaced(4, max_bad=1)[1, 4]


def test_each_damaged_sample_is_named_once_and_counted_once(capsys):
    samples = replaced(2, 8, max_bad=2)
    for epoch in range(3):
        for index in range(10):
            assert samples[epoch, index]["label"].shape == (2, 2)
    output = capsys.readouterr().out
    assert output.count("2.jpg") == output.count("8.jpg") == 1
    assert "(1 of max_bad_samples 2)" in output
    assert "(2 of max_bad_samples 2)" in output


def test_more_damage_than_is_accepted_is_an_error():
    with pytest.raises(UserError, match=r"cannot read image '3\.jpg' \(max_bad_samples N would replace"):
        replaced(3, max_bad=0)[0, 3]
    samples = replaced(3, 6, max_bad=1)
    samples.note({3: "cannot read 3"})
    samples.note({3: "cannot read 3"})
    with pytest.raises(UserError, match="cannot read 6: more samples than max_bad_samples 1 cannot"):
        samples.note({6: "cannot read 6"})
    with pytest.raises(UserError, match="more samples than max_bad_samples 4 cannot be read$"):
        replaced(*range(10), max_bad=4)[0, 0]
    with pytest.raises(UserError, match="more samples than max_bad_samples 10 cannot be read$"):
        replaced(*range(10), max_bad=10)[0, 0]


def test_an_error_that_is_no_sample_error_is_never_skipped():
    with pytest.raises(UserError, match=r"^the mask '3\.png' holds 7$"):
        replaced(max_bad=9, wrong=3)[0, 3]

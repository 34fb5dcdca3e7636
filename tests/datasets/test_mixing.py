import numpy as np
import pytest

from paddleseg.datasets import EpochBatches, SeededSamples
from paddleseg.datasets.mixing import mixed
from paddleseg.datasets.sampling import ReplacedSamples
from paddleseg.errors import SampleError, UserError


class Drawn:
    """A data set whose images are drawn from the generator of the sample."""

    def __init__(self, length, labeled=True):
        self.length = length
        self.labeled = labeled

    def __len__(self):
        return self.length

    def sample(self, index, rng):
        sample = {"img": np.full((3, 2, 2), rng.random())}
        return {**sample, "label": np.full((2, 2), index)} if self.labeled else sample


LABELED, UNLABELED = Drawn(8), Drawn(21, labeled=False)


def test_without_unlabelled_images_nothing_changes():
    batches, samples = mixed(LABELED, None, 4, 0, iters=5, seed=3)
    assert list(batches) == list(EpochBatches(8, 4, 5, 3))
    key = (1, 2)
    assert (samples[key]["img"] == SeededSamples(LABELED, 3)[key]["img"]).all()


def test_the_labelled_samples_are_those_of_a_training_without_unlabelled_ones():
    batches, samples = mixed(LABELED, UNLABELED, 6, 4, iters=9, seed=3)
    alone = list(EpochBatches(8, 2, 9, 3))
    for keys, expected in zip(batches, alone):
        assert [index >= 8 for _, index in keys] == [False, False, True, True, True, True]
        assert keys[:2] == expected
    assert batches.iters_per_epoch == 4
    assert len(batches) == len(list(batches)) == 9
    assert set(samples[0, 7]) == {"img", "label"}
    assert set(samples[0, 8]) == {"img"}


def test_every_unlabelled_image_comes_once_an_epoch_in_an_order_of_its_own():
    batches, _ = mixed(LABELED, UNLABELED, 6, 4, iters=10, seed=3)
    keys = [(epoch, index - 8) for batch in batches for epoch, index in batch if index >= 8]
    first, second = ([index for epoch, index in keys if epoch == e] for e in (0, 1))
    assert len(set(first)) == len(first) == 20  # 21, less the one that fills no batch
    assert len(set(second)) == len(second) == 20
    assert first != second
    assert first != list(np.random.default_rng([3, 0]).permutation(21)[:20])


def test_the_two_sets_have_different_random_numbers():
    _, samples = mixed(LABELED, Drawn(8, labeled=False), 2, 1, iters=1, seed=3)
    assert (samples[0, 5]["img"] != samples[0, 13]["img"]).all()
    assert (samples[0, 13]["img"] == samples[0, 13]["img"]).all()


def test_ranks_share_what_one_rank_sees_and_resuming_needs_no_replay():
    def keys(batch_size, unlabeled, **rank):
        return list(mixed(LABELED, UNLABELED, batch_size, unlabeled, iters=7, seed=1, **rank)[0])

    one = keys(4, 2)
    two = [keys(2, 1, rank=rank, nranks=2) for rank in range(2)]
    assert [sorted(batch) for batch in one] == [sorted(a + b) for a, b in zip(*two)]
    assert keys(4, 2, start_iter=5) == one[5:]


def test_each_of_the_two_sets_has_its_own_views():
    endless, repeated = (
        list(mixed(LABELED, UNLABELED, 6, 4, iters=21, seed=3, views=k)[0]) for k in (None, 3)
    )
    for keys, expected in zip(repeated, endless):
        assert keys == [(epoch % 3, index) for epoch, index in expected]
    assert {view for keys in repeated for view, index in keys if index < 8} == {0, 1, 2}


def test_the_parts_of_an_iteration_are_mixed_alike():
    (keys,) = mixed(LABELED, UNLABELED, 3, 2, iters=1, seed=1, micro_batches=2)[0]
    assert [index >= 8 for _, index in keys] == [False, True, True, False, True, True]
    assert len(set(keys)) == 6
    (whole,) = mixed(LABELED, UNLABELED, 6, 4, iters=1, seed=1)[0]
    assert sorted(keys) == sorted(whole)


def test_a_batch_may_hold_unlabelled_images_alone():
    batches, samples = mixed(LABELED, UNLABELED, 3, 3, iters=2, seed=1)
    assert batches.iters_per_epoch == 7
    assert set(samples[next(iter(batches))[0]]) == {"img"}


@pytest.mark.parametrize(
    ("counts", "message"),
    [((3, 30), "the training set has 3 samples"), ((8, 3), "the unlabeled_dataset has 3 samples")],
)
def test_too_few_of_a_kind_are_refused(counts, message):
    with pytest.raises(UserError, match=message):
        mixed(Drawn(counts[0]), Drawn(counts[1], labeled=False), 8, 4, iters=1, seed=0)


@pytest.mark.parametrize("form", [lambda x: x, lambda x: {"img": x}, lambda x: (x, None), lambda x: [x]])
def test_unlabelled_samples_may_have_any_form(form):
    class Own:
        def __getitem__(self, index):
            return form(np.full((3, 2, 2), index))

    got = SeededSamples(Own(), 0, labeled=False)[(0, 2)]
    assert set(got) == {"img"}
    assert (got["img"] == 2).all()


def test_the_files_of_the_sources_follow_one_another():
    with_files, more = Drawn(2), Drawn(3, labeled=False)
    with_files.file_list, more.file_list = [["a", "b"], ["c", "d"]], [["e", None], ["f", None], ["g", None]]
    batches, samples = mixed(with_files, more, 2, 1, iters=1, seed=0)
    ((_, (_, index)),) = batches
    assert samples.file_list[index][0] in "efg"
    assert mixed(with_files, None, 2, 0, iters=1, seed=0)[1].file_list == with_files.file_list
    assert mixed(LABELED, more, 2, 1, iters=1, seed=0)[1].file_list is None


class Damaged(Drawn):
    """None of its samples but the last can be read."""

    def sample(self, index, rng):
        if index < self.length - 1:
            raise SampleError(f"cannot read {index} of {self.length}")
        return super().sample(index, rng)


def test_a_damaged_sample_is_replaced_by_one_of_the_same_source(capsys):
    _, samples = mixed(Damaged(3), Damaged(5, labeled=False), 4, 2, iters=2, seed=3)
    replaced = ReplacedSamples(samples, 3, max_bad=6)
    assert (replaced[0, 0]["img"] == samples[0, 2]["img"]).all()
    assert (replaced[0, 4]["img"] == samples[0, 7]["img"]).all()
    assert "label" not in replaced[1, 3]
    assert (samples.same_source(2), samples.same_source(3)) == (range(3), range(3, 8))
    capsys.readouterr()

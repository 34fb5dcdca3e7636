import sys
import threading

import cv2
import numpy as np
import pytest

from paddleseg.datasets import Dataset
from paddleseg.datasets.loading import load_batches, stack
from paddleseg.datasets.sampling import ReplacedSamples, SeededSamples
from paddleseg.errors import SampleError, UserError
from paddleseg.transforms import Normalize, RandomPaddingCrop


class Squares:
    """Sample i is i squared; one of them may be broken."""

    def __init__(self, broken=None):
        self.broken = broken

    def __len__(self):
        return 8

    def __getitem__(self, key):
        if key == self.broken:
            raise UserError(f"sample {key} is broken: dé")
        return {"img": np.full((2, 2), key**2, "float32"), "label": np.int64(key)}


KEYS = [[3, 1], [0, 7], [5, 2]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_come_in_the_samplers_order_as_tensors(num_workers):
    batches = list(load_batches(Squares(), KEYS, num_workers, stack))
    assert [batch["label"].tolist() for batch in batches] == KEYS
    assert [batch["img"][:, 0, 0].tolist() for batch in batches] == [[9, 1], [0, 49], [25, 4]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_users_mistake_arrives_whole_at_its_batch(num_workers):
    batches = iter(load_batches(Squares(broken=7), KEYS, num_workers, stack))
    assert next(batches)["label"].tolist() == [3, 1]
    with pytest.raises(UserError, match="^sample 7 is broken: dé$"):
        next(batches)


STUCK = """
import multiprocessing, os, signal, sys, time
import numpy as np
from paddleseg.datasets.loading import load_batches, stack

class Stuck:
    def __len__(self):
        return 2
    def __getitem__(self, key):
        if key:
            time.sleep(100)
        return {"img": np.zeros(2, "float32")}

batches = load_batches(Stuck(), [[0], [1]], 1, stack)
next(batches)
(worker,) = multiprocessing.active_children()
time.sleep(0.3)
os.kill(worker.pid, signal.SIGTERM)
time.sleep(0.3)
assert worker.is_alive()
if sys.argv[1] == "close":
    batches.close()
    worker.join(10)
    assert not worker.is_alive()
print("over", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Paddle has workers on Linux alone")
@pytest.mark.parametrize("way", ["close", "exit"])
def test_a_worker_outlives_sigterm_and_is_ended_even_if_it_is_stuck(way, run_python):
    ended = run_python("-c", STUCK, way, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "over\n"), ended.stderr


class Photographs:
    """Ten samples, whose labels are their numbers, some of which cannot be read."""

    def __init__(self, *damaged):
        self.damaged = damaged

    def __len__(self):
        return 10

    def sample(self, index, rng):
        if index in self.damaged:
            name = f"{index} dé \udce4.jpg"  # the last as Python gives a name that is no UTF-8
            raise SampleError(f"cannot read image {name!r}")
        return {"img": rng.random((3, 2, 2)), "label": np.int64(index)}


def read_all(num_workers, max_bad, *damaged):
    samples = ReplacedSamples(SeededSamples(Photographs(*damaged), 0), 0, max_bad)
    keys = [[(0, 3), (0, 1)], [(0, 0), (0, 3)], [(1, 7), (1, 3)], [(2, 5), (2, 9)]]
    batches = load_batches(samples, keys, num_workers, stack)
    return [(batch["img"].numpy().tobytes(), batch["label"].tolist()) for batch in batches]


def test_replacements_are_the_same_with_any_number_of_workers(capsys):
    alone = read_all(0, 2, 3, 7)
    output = capsys.readouterr().out
    assert [len(label) for _, label in alone] == [2, 2, 2, 2]
    assert not {3, 7} & {index for _, label in alone for index in label}
    assert (output.count("'3 dé"), output.count("'7 dé")) == (1, 1)
    for num_workers in (1, 3):
        assert read_all(num_workers, 2, 3, 7) == alone
        assert capsys.readouterr().out.count("another sample takes its place") == 2


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_error_of_too_much_damage_arrives_whole(num_workers, capsys):
    with pytest.raises(UserError, match="'7 dé.*more samples than max_bad_samples 1 cannot be read$"):
        read_all(num_workers, 1, 3, 7)
    assert capsys.readouterr().out.count("'3 dé") == 1


MEAN, STD = np.float32([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])


def two_sources(root, **more):
    """Samples of bytes and samples of floats: their padding is a whole number or not."""
    path = str(root / "list.txt")
    chains = [
        [RandomPaddingCrop([60, 60], im_padding_value=value), Normalize(MEAN.tolist(), STD.tolist())]
        for value in (3, 127.5)
    ]
    datasets = [Dataset(str(root), chain, 3, train_path=path) for chain in chains]
    return [SeededSamples(dataset, 0, **more) for dataset in datasets]


def write_list(root):
    rng = np.random.default_rng(1)
    for i in range(2):
        cv2.imwrite(str(root / f"{i}.png"), rng.integers(0, 256, (50, 70, 3), dtype=np.uint8))
        cv2.imwrite(str(root / f"{i}_mask.png"), rng.integers(0, 3, (50, 70), dtype=np.uint8))
    (root / "list.txt").write_text("0.png 0_mask.png\n1.png 1_mask.png\n")


class Joined:
    """Samples of several sources; the key says which."""

    def __init__(self, *sources):
        self.sources = sources

    def __len__(self):
        return 2

    def __getitem__(self, key):
        source, index = key
        return self.sources[source][0, index]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_device_normalises_to_the_same_bits(tmp_path, num_workers):
    """Bytes, floats, both together, and both beside a sample that is normalised already."""
    write_list(tmp_path)
    deferred = two_sources(tmp_path, defer_normalize=True)
    normalized = two_sources(tmp_path)
    assert deferred[0][0, 0]["img"].dtype == deferred[0][0, 0]["label"].dtype == np.uint8
    assert deferred[1][0, 0]["img"].dtype == np.float32
    keys = [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, 0), (1, 1)], [(0, 1), (2, 0), (1, 1)]]
    got = load_batches(Joined(*deferred, normalized[0]), keys, num_workers, stack)
    expected = load_batches(Joined(*normalized, normalized[0]), keys, 0, stack)
    for one, other in zip(got, expected):
        assert set(one) == set(other) == {"img", "label"}
        for key in one:
            assert one[key].dtype == other[key].dtype
            assert one[key].numpy().tobytes() == other[key].numpy().tobytes()


def test_a_users_data_set_never_defers_normalize(tmp_path):
    class Own(Dataset):
        def sample(self, index, rng=None):
            return super().sample(index, rng)

    write_list(tmp_path)
    own = Own(str(tmp_path), [Normalize()], 3, train_path=str(tmp_path / "list.txt"))
    assert SeededSamples(own, 0, defer_normalize=True)[0, 0]["img"].shape == (3, 50, 70)
    assert set(SeededSamples(Photographs(), 0, defer_normalize=True)[0, 0]) == {"img", "label"}


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("reader")]


def test_a_thread_reads_one_batch_ahead():
    read = []

    class Noted(Squares):
        def __getitem__(self, key):
            read.append(threading.current_thread() is threading.main_thread())
            return super().__getitem__(key)

    batches = load_batches(Noted(), KEYS, 0, stack, ahead=True)
    assert [batch["label"].tolist() for batch in batches] == KEYS
    assert read == [False] * 6
    assert threads() == []


def test_an_error_of_the_reading_thread_arrives_at_its_batch_and_ends_it():
    batches = load_batches(Squares(broken=7), KEYS, 0, stack, ahead=True)
    assert next(batches)["label"].tolist() == [3, 1]
    with pytest.raises(UserError, match="^sample 7 is broken: dé$"):
        next(batches)
    assert threads() == []


def test_a_reading_thread_ends_with_its_generator():
    batches = load_batches(Squares(), KEYS, 0, stack, ahead=True)
    next(batches)
    assert len(threads()) == 1
    batches.close()
    assert threads() == []


UNREAD = """
import numpy as np, time
from paddleseg.datasets.loading import load_batches, stack

class Late:
    def __len__(self):
        return 2
    def __getitem__(self, key):
        time.sleep(key)
        return {"img": np.zeros(2, "float32")}

batches = load_batches(Late(), [[0], [1], [1], [1]], 0, stack, ahead=True)
next(batches)
raise SystemExit(3)
"""


def test_a_reading_thread_does_not_keep_the_process_alive(run_python):
    ended = run_python("-c", UNREAD, timeout=60)
    assert ended.returncode == 3, ended.stderr

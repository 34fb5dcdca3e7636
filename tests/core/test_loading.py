import subprocess
import sys

import numpy as np
import pytest

from paddleseg.core.loading import load_batches, stack
from paddleseg.datasets.sampling import ReplacedSamples, SeededSamples
from paddleseg.errors import SampleError, UserError


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
from paddleseg.core.loading import load_batches, stack

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
def test_a_worker_outlives_sigterm_and_is_ended_even_if_it_is_stuck(way):
    command = [sys.executable, "-W", "ignore", "-c", STUCK, way]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
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


def read_all(num_workers, most, *damaged):
    samples = ReplacedSamples(SeededSamples(Photographs(*damaged), 0), 0, most)
    keys = [[(0, 3), (0, 1)], [(0, 0), (0, 3)], [(1, 7), (1, 3)], [(2, 5), (2, 9)]]
    batches = load_batches(samples, keys, num_workers, stack)
    return [(batch["img"].numpy().tobytes(), batch["label"].tolist()) for batch in batches]


def test_replacements_are_the_same_with_any_number_of_workers(capsys):
    alone = read_all(0, 2, 3, 7)
    told = capsys.readouterr().out
    assert [len(label) for _, label in alone] == [2, 2, 2, 2]
    assert not {3, 7} & {index for _, label in alone for index in label}
    assert (told.count("'3 dé"), told.count("'7 dé")) == (1, 1)
    for num_workers in (1, 3):
        assert read_all(num_workers, 2, 3, 7) == alone
        assert capsys.readouterr().out.count("another sample takes its place") == 2


@pytest.mark.parametrize("num_workers", [0, 2])
def test_damage_beyond_the_limit_arrives_whole(num_workers, capsys):
    with pytest.raises(UserError, match="'7 dé.*more than --max_bad_samples 1$"):
        read_all(num_workers, 1, 3, 7)
    assert capsys.readouterr().out.count("'3 dé") == 1

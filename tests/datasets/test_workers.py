import os
import signal
import sys

import numpy as np
import pytest

from paddleseg.datasets.loading import load_batches, stack
from paddleseg.datasets.workers import WorkerDiedError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Paddle has workers on Linux alone")
KEYS = [[i, i + 1] for i in range(0, 12, 2)]


class Numbers:
    """Sample i is full of i; one of them has another fate."""

    def __init__(self, fate=None):
        self.fate = fate

    def __len__(self):
        return 12

    def __getitem__(self, key):
        if key == 7 and self.fate is not None:
            self.fate()
        return {"img": np.full((3, 64, 64), key, "float32"), "label": np.full((64, 64), key, "int64")}


def die(signum):
    return lambda: os.kill(os.getpid(), signum)


def read(samples, num_workers=2):
    return [
        [(key, batch[key].dtype, batch[key].numpy().tobytes()) for key in ("img", "label")]
        for batch in load_batches(samples, KEYS, num_workers, stack)
    ]


@pytest.mark.parametrize(
    ("fate", "message"),
    [
        (
            die(signal.SIGKILL),
            r"\(SIGKILL\): most likely the system ran out of memory; use fewer num",
        ),
        (die(signal.SIGALRM), r"\(SIGALRM\): num_workers 0 reads in the main process"),
        (lambda: os._exit(3), r"\(exit status 3\): num_workers 0"),
        (lambda: os._exit(0), r"\(exit status 0\): num_workers 0"),
    ],
)
def test_the_death_of_a_worker_is_a_users_error(fate, message):
    with pytest.raises(WorkerDiedError, match=rf"^a process that reads data has died {message}"):
        read(Numbers(fate))


def test_other_errors_of_a_worker_keep_their_kind():
    def no_memory():
        raise MemoryError("unable to allocate")

    with pytest.raises(MemoryError, match="^unable to allocate$"):
        read(Numbers(no_memory))
    with pytest.raises(RuntimeError, match="(?s)a process that reads data failed:.*ZeroDivisionError"):
        read(Numbers(lambda: 1 / 0))


def test_where_the_shared_memory_fills_up_the_rest_comes_through_pipes(tmp_path, lines):
    def once():
        if not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGBUS)

    assert read(Numbers(once)) == read(Numbers(), 0)
    assert [line for line in lines if "SIGBUS" in line and "/dev/shm is full" in line and "pipes" in line]
    with pytest.raises(WorkerDiedError, match=r"\(SIGBUS\): num_workers 0"):  # pipes do not help it
        read(Numbers(die(signal.SIGBUS)))


CROWD = """
import sys
from paddleseg.datasets.loading import load_batches, stack
import numpy as np
list(load_batches([{"img": np.zeros(1)}] * 4, [[0], [1]], int(sys.argv[1]), stack))
list(load_batches([{"img": np.zeros(1)}] * 4, [[0], [1]], int(sys.argv[1]), stack))
"""


def test_more_workers_than_cores_can_feed_are_warned_of_once(run_python):
    cores = len(os.sched_getaffinity(0))
    many = run_python("-c", CROWD, str(8 * cores), timeout=120).stdout
    assert many.count("WARNING") == many.count(f"num_workers {8 * cores} on ") == 1
    assert run_python("-c", CROWD, "1", timeout=60).stdout == ""

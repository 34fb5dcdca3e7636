import os
import subprocess
import sys
import types

import numpy as np
import pytest

from paddleseg.datasets import shared_memory
from paddleseg.datasets.loading import load_batches, stack
from paddleseg.errors import UserError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Paddle has workers on Linux alone")
KEYS = [[0, 1, 2, 3]] * 10
MIB = 2**20


class Images:
    """Images of float32, 3 x 256 x 256 (0.75 MiB), with labels of int64 (0.5 MiB)."""

    def __len__(self):
        return 4

    def __getitem__(self, key):
        rng = np.random.default_rng(key)
        return {
            "img": rng.random((3, 256, 256), "float32"),
            "label": rng.integers(0, 5, (256, 256)),
        }


@pytest.fixture
def free(monkeypatch):
    """Make /dev/shm seem to have so many bytes."""
    real = os.statvfs

    def limit(size):
        def statvfs(path):
            return types.SimpleNamespace(f_bavail=size, f_frsize=1) if path == "/dev/shm" else real(path)

        monkeypatch.setattr(os, "statvfs", statvfs)

    return limit


def test_the_need_is_that_of_the_batches_of_workers_and_caller(free):
    free(64 * MIB)
    sample = sum(value.nbytes for value in Images()[0].values())
    assert shared_memory.need_of(Images(), KEYS, 3, 2) == (2 * 3 + 2) * 4 * sample
    assert shared_memory.need_of(Images(), KEYS[:3], 3, 2) == 3 * 4 * sample
    assert shared_memory.need_of(Images(), [], 3, 2) == 0
    free(100 << 30)
    assert shared_memory.need_of(None, KEYS, 3, 2) == 0  # ample for any batch, so no sample is read


def test_a_first_sample_that_cannot_be_read_is_left_to_its_worker(free):
    class Broken(Images):
        def __getitem__(self, key):
            raise UserError("broken")

    free(64 * MIB)
    assert shared_memory.need_of(Broken(), KEYS, 3, 2) == 0


def test_batches_through_pipes_are_the_same_and_one_line_says_so(free, lines):
    expected = [batch["img"].numpy().tobytes() for batch in load_batches(Images(), KEYS, 0, stack)]
    for room, said in ((12 * MIB, 1), (12 * MIB, 1), (64 * MIB, 1)):
        free(room)
        got = [batch["img"].numpy().tobytes() for batch in load_batches(Images(), KEYS, 1, stack)]
        assert got == expected
        assert len(lines) == said
    assert "/dev/shm has 12 MiB free" in lines[0]
    assert "batches of 1 workers may need 20 MiB" in lines[0]


def test_an_evaluation_leaves_to_the_training_what_it_still_needs(free):
    free(64 * MIB)
    claims = shared_memory.Claims()
    claims.add("training", 40 * MIB, [os.getpid()])
    assert claims.unused() == 40 * MIB
    taken = f"/dev/shm/paddle_{os.getpid()}_0_test"
    try:
        with open(taken, "wb") as file:
            file.truncate(30 * MIB)
        assert claims.unused() == 10 * MIB
    finally:
        os.remove(taken)
    claims.remove("training")
    assert claims.unused() == 0


SMALL = """
mount -t tmpfs -o size=8m tmpfs /dev/shm
test "$1" = full && head -c 9000000 /dev/zero > /dev/shm/file 2> /dev/null
exec "$0" -c "
import numpy as np
from paddleseg.datasets.loading import load_batches, stack

class Growing:
    def __len__(self):
        return 40
    def __getitem__(self, key):
        width = 64 if key == 0 and '$1' == 'first_is_small' else 2048
        return {'img': np.full((3, 64, width), key, 'float32')}

batches = load_batches(Growing(), [[key] for key in range(20)], 4, stack)
print([float(batch['img'].mean()) for batch in batches] == list(range(20)))
"
"""


@pytest.fixture(scope="module")
def read_in_small_dev_shm(repository):
    """Read batches with a /dev/shm of 8 MiB; returns (exit status, stdout, stderr)."""
    unshare = ["unshare", "--map-root-user", "--user", "--mount"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("needs file systems of its own")
    environment = {**os.environ, "PYTHONPATH": str(repository)}

    def read(case):
        command = [*unshare, "sh", "-c", SMALL, sys.executable, case]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
        return ended.returncode, ended.stdout, ended.stderr

    return read


@pytest.mark.parametrize(("case", "reason"), [("", "may need"), ("first_is_small", "/dev/shm is full")])
def test_a_small_dev_shm_does_not_end_the_reading(read_in_small_dev_shm, case, reason):
    status, output, errors = read_in_small_dev_shm(case)
    assert status == 0, errors
    *warnings, last = output.splitlines()
    assert last == "True"
    assert len(warnings) == 1, output
    assert reason in warnings[0]
    assert "through pipes" in warnings[0]


def test_a_full_dev_shm_has_no_room_for_workers(read_in_small_dev_shm):
    status, _, errors = read_in_small_dev_shm("full")
    assert status == 1
    last = errors.splitlines()[-1]
    assert "UserError: num_workers 4: processes cannot be started (No space left on device)" in last

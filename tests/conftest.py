import os
import pathlib

# Before Paddle is imported: the suite runs one process a core, each on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402

import paddleseg  # noqa: E402, F401  first, since it loads zlib before Paddle and PaddleSlim

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository():
    """The folder that holds train.py."""
    return ROOT

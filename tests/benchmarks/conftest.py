"""Lets tests import the scripts of benchmarks/, which import one another by their names."""

import pathlib
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))


@pytest.fixture(scope="session")
def benchmarks():
    """The folder of the benchmarks, as text."""
    return str(BENCHMARKS)

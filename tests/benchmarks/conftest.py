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


@pytest.fixture
def help_of(monkeypatch, capsys):
    """A function that returns what `--help` of a script says, in one line."""

    def text(script):
        monkeypatch.setattr("sys.argv", ["script.py", "--help"])
        monkeypatch.setenv("COLUMNS", "300")
        with pytest.raises(SystemExit):
            script.main()
        return " ".join(capsys.readouterr().out.split())

    return text

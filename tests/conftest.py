import importlib
import os
import pathlib
import runpy
import signal
import sys

# Before Paddle is imported: the suite runs one process a core, each on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402

import paddleseg  # noqa: E402, F401  first, since it loads zlib before Paddle and PaddleSlim

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository():
    """The folder that holds train.py."""
    return ROOT


@pytest.fixture(scope="session")
def deployment():
    """Import a file of deploy/ by its name, as its neighbours do: deployment("infer")."""
    sys.path.insert(0, str(ROOT / "deploy"))
    yield importlib.import_module
    sys.path.remove(str(ROOT / "deploy"))


@pytest.fixture(autouse=True)
def _own_signals():
    """A training that was stopped leaves signals ignored; the next test must not find them so."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def command(repository, capfd, monkeypatch):
    """Run a command of the project within this process; returns (exit status, stderr)."""
    # The command changes the path of imports and the environment; put both back.
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", os.environ.copy())

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *(str(a) for a in arguments)])
        status = 0
        try:
            runpy.run_path(str(repository / script), run_name="__main__")
        except SystemExit as stop:
            status = stop.code
        return status, capfd.readouterr().err

    return run

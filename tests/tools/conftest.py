"""The scripts of tools/, which import one another as a user's shell would have them do."""

import importlib
import sys

import pytest


@pytest.fixture(scope="package")
def tool(repository):
    """Return `tool(name)`, which imports a script of tools/ as a module."""
    sys.path.insert(0, str(repository / "tools"))
    yield importlib.import_module
    sys.path.remove(str(repository / "tools"))


@pytest.fixture
def typed(monkeypatch):
    """Return `typed(script, *arguments)`, which makes this the command line of the process."""
    return lambda *words: monkeypatch.setattr(sys, "argv", [str(word) for word in words])


@pytest.fixture
def run(typed):
    """Return `run(script, *arguments)`, which runs a script's main() and returns its exit status."""

    def of(script, *arguments):
        typed(script.__name__, *arguments)
        with pytest.raises(SystemExit) as exit_:
            script.main()
        return exit_.value.code

    return of

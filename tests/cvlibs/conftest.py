import pytest

from paddleseg.cvlibs import Config
from paddleseg.cvlibs.config import ConfigError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function that writes a config file in the working directory and returns its bare name."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="config.yml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    return write


@pytest.fixture
def problems(write):
    """A function that returns the list of problems of a config's text, empty if it has none."""

    def problems(text, **arguments):
        try:
            Config(write(text), **arguments)
        except ConfigError as error:
            return error.problems
        return []

    return problems

import pytest
import tiny

from paddleseg.utils.logger import logger


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny optic-disc set."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("data"))


@pytest.fixture
def lines(monkeypatch):
    """What is logged."""
    logged = []
    monkeypatch.setattr(logger, "info", logged.append)
    monkeypatch.setattr(logger, "warning", logged.append)
    return logged

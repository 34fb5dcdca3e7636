import pytest


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder for exported files."""
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"

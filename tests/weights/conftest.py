import pytest


@pytest.fixture
def written(tmp_path):
    """A function that writes bytes to a file and returns its path as text."""

    def written(content):
        path = tmp_path / "w.pdparams"
        path.write_bytes(content)
        return str(path)

    return written

import pytest
import tiny


@pytest.fixture
def finished(tmp_path, root):
    """What `tiny.train` took for a training that is over, `save_dir` among it."""
    config = tiny.write_yaml(tmp_path / "run.yml", tiny.config(root))
    arguments = {"config": config, "save_dir": str(tmp_path / "run"), "seed": 7}
    tiny.train(**arguments)
    return arguments

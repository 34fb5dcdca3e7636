"""`slim/prune/prune.py` as a user types it: what it refuses, in one line and with status 2."""

import paddle
import pytest
from refusal import refused

PADDLE_3 = int(paddle.__version__.split(".")[0]) >= 3


@pytest.mark.skipif(not PADDLE_3, reason="PaddleSlim's pruners run on Paddle 2.6.2")
def test_a_paddle_on_which_paddleslim_cannot_prune(command, tmp_path):
    out = tmp_path / "out"
    status, error = command("slim/prune/prune.py", "--config", "gone.yml", "--save_dir", out)
    assert status == 2
    assert error.count("\n") == 1
    assert error.startswith(f"error: pruning needs Paddle 2.6.2, and this is {paddle.__version__}")
    assert not out.exists(), "nothing has been done"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--pruning_ratio", "1"], "pruning_ratio must be above 0 and below 1, not 1.0"),
        (["--pruning_ratio", "30"], "--pruning_ratio: must be a number from 0 to 1"),
        (["--input_shape", "1", "3", "-1", "-1"], "input_shape 1 3 -1 -1: it takes N C H W, each above 0"),
        (["--retraining_iters", "-1"], "--retraining_iters: must be a whole number of 0 or above"),
        (["--iters", "5"], "unrecognized arguments: --iters 5"),
    ],
)
def test_flags_that_are_wrong(command, flags, message):
    refused(command("slim/prune/prune.py", "--config", "gone.yml", *flags), message)

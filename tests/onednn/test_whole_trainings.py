"""Trainings by oneDNN's convolutions, beside those by Paddle's and in another process."""

import subprocess
import sys

import distilling
import numpy as np
import pytest
import tiny

from paddleseg.onednn import library

pytestmark = pytest.mark.skipif(
    library.why_not() is not None, reason="Paddle's wheel brings no such oneDNN here"
)

# Relative to a loss and to the largest weight of an array; FCN on ResNet18_vd showed 5e-7 and 1e-5.
LOSS_TOLERANCE, WEIGHT_TOLERANCE = 1e-5, 1e-4
NOISE = 1e-6  # of numbers that are 0 but for rounding, such as a bias before batch norm
SECTION = {"type": "TinyNet", "num_classes": 2, "width": 8}


def test_twenty_steps_of_a_distillation_are_paddles_up_to_rounding(tmp_path, root):
    teacher = distilling.write_teacher(tmp_path, SECTION)
    schedule = {"type": "PolynomialDecay", "learning_rate": 0.01, "end_lr": 0, "power": 0.9}
    config = tiny.config(root, SECTION, iters=20, lr_scheduler=schedule)
    runs = {
        engine: distilling.distill(
            tmp_path, config, [teacher], engine, conv_engine=engine, no_eval=True, log_iters=1
        )
        for engine in ("paddle", "onednn")
    }
    losses = {engine: distilling.logged_losses(run) for engine, run in runs.items()}
    assert len(losses["paddle"]) == len(losses["onednn"]) == 20
    for one, other in zip(losses["paddle"], losses["onednn"]):
        assert other == pytest.approx(one, rel=LOSS_TOLERANCE, abs=NOISE)
    weights = [tiny.flat_arrays(f"{run}/iter_20/model.pdparams") for run in runs.values()]
    differs = False
    for key, value in weights[0].items():
        tolerance = WEIGHT_TOLERANCE * np.abs(value).max() + NOISE
        np.testing.assert_allclose(weights[1][key], value, rtol=0, atol=tolerance, err_msg=key)
        differs = differs or (weights[1][key] != value).any()
    assert differs  # else both were computed by the same engine


SCRIPT = """
import hashlib
import paddleseg
import paddle
from paddleseg import onednn

onednn.use_engine("onednn")
paddle.seed(4)
x, weight = paddle.randn([2, 8, 13, 11]), paddle.randn([6, 8, 3, 3])
x.stop_gradient = weight.stop_gradient = False
y = onednn.conv2d(x, weight, None, 1, 6, 6)
(y * y).sum().backward()
DIGEST = hashlib.sha256(b"".join(one.numpy().tobytes() for one in (y, x.grad, weight.grad))).hexdigest()
"""


def test_another_process_computes_the_same_bits(repository):
    here = {}
    exec(SCRIPT, here)
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT + "print(DIGEST)"],
        cwd=repository,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert found.stdout.split()[-1] == here["DIGEST"]

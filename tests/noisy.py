"""A model that draws from all three global generators, and trainings of it that put everything to use."""

import random
import time

import distilling
import numpy as np
import paddle
import tiny

from paddleseg.cvlibs import manager


@manager.MODELS.add_component
class NoisyNet(tiny.TinyNet):
    """`TinyNet` with dropout and noise from Paddle, NumPy and Python; each forward takes `seconds` more."""

    def __init__(self, num_classes: int = 2, width: int = 4, seconds: float = 0.0):
        super().__init__(num_classes, width, dropout=0.3)
        self.seconds = seconds

    def forward(self, x):
        time.sleep(self.seconds)
        if self.training:
            x = x + 0.1 * paddle.rand(x.shape) + 0.1 * float(np.random.rand()) + 0.1 * random.random()
        return super().forward(x)


FLAGS = {
    "use_ema": True,
    "use_vdl": True,
    "accumulate_steps": 2,
    "early_stop_intervals": 50,
    "save_interval": 2,
    "log_iters": 3,
    "keep_checkpoint_max": 2,
    "seed": 5,
}


def write(folder, seconds=0.0, iters=12, **changes):
    """Write data, configs and weights of a teacher to a folder; return what `plain` and `distilled` take.

    Args:
        folder: a `pathlib.Path`.
        seconds: that each forward takes more.
        iters: of both trainings.
        **changes: of the config.
    """
    root = tiny.write_optic_disc(folder / "data", train=10, val=3)
    model = {"type": "NoisyNet", "num_classes": 2, "seconds": seconds}
    changes = {
        "optimizer": {"type": "Adam", "weight_decay": 0.01},
        "iters": iters,
        "batch_size": 2,
        **changes,
    }
    dic = tiny.config(root, model=model, imports=["noisy"], **changes)
    loss = distilling.feature("body.0", "MemoryLoss")  # with weights and a buffer
    connected = distilling.feature("body.0", connector={"type": "ConvConnector"}, schedule={"start_iter": 2})
    student = {**dic, "imports": ["noisy", "distilling"], "distill": {"features": [loss, connected]}}
    paddle.seed(3)
    weights = tiny.save_weights(folder / "teacher.pdparams", tiny.TinyNet())
    teacher = {"type": "TinyNet", "num_classes": 2, "pretrained": weights}
    return {
        "config": tiny.write_yaml(folder / "config.yml", dic),
        "student_config": tiny.write_yaml(folder / "student.yml", student),
        "teacher_config": tiny.write_yaml(folder / "teacher.yml", {"model": teacher, "imports": ["tiny"]}),
        "distill_config": tiny.write_distill_file(folder / "distill.py", [tiny.feature(), tiny.feature(1)]),
    }


def train(given, kind, **options):
    """Train what `write` has written: "plain", or "distilled"."""
    given = dict(given)
    config = given.pop("config")
    return tiny.train(config, **options) if kind == "plain" else tiny.distill(**given, **options)

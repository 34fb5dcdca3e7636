"""The variants of a distillation step that `step.py` and `memory.py` compare, each as a command and an environment."""

import functools
import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass

from turns import Worker

HERE = os.path.dirname(os.path.abspath(__file__))
# What decides how fast Paddle computes; a variant gets none of it from who runs the benchmark.
SETTINGS = ("MKL_DEBUG_CPU_TYPE", "OMP_NUM_THREADS", "PADDLESEG_TUNE", "FLAGS_use_mkldnn", "PYTHONPATH")


@dataclass(frozen=True)
class Variant:
    """One way to make the step.

    Attributes:
        name: in the table.
        role: "plain", "ours" or "torch".
        flags: of the toolkit's command, or the memory format.
        tuned: whether Paddle's settings are the toolkit's, or its defaults.
    """

    name: str
    role: str
    flags: tuple = ()
    tuned: bool = True


PLAIN = "plain loop, Paddle's defaults"
CHANNELS_LAST = "PyTorch, channels_last"
ENGINE = ("--teacher_engine", "onnxruntime")
AT_HEAD = ("--opts", "distill_loss.at=head")
CACHE = ("--teacher_cache", "{cache}", "--cache_views", "1")
VARIANTS = {
    "plain_default": Variant(PLAIN, "plain", tuned=False),
    "plain": Variant("plain loop, tuned", "plain"),
    "ours": Variant("distill_train.py, Paddle's teacher", "ours"),
    "onnx": Variant("+ onnxruntime's teacher", "ours", ENGINE),
    "head": Variant("+ distill_loss.at: head", "ours", (*ENGINE, *AT_HEAD)),
    "cache": Variant("teacher cache, all hits", "ours", CACHE),
    "cache_head": Variant("+ distill_loss.at: head", "ours", (*CACHE, *AT_HEAD)),
    "torch": Variant("PyTorch", "torch", ("contiguous",)),
    "torch_last": Variant(CHANNELS_LAST, "torch", ("channels_last",)),
}


@dataclass(frozen=True)
class Case:
    """What is computed: a folder of `step_setup.py` and how.

    Attributes:
        folder: where configs, images and weights are.
        size, batch, threads: pixels a side, images a step, threads of a process.
        clock: as in `timing.timed`.
        torch_python: the interpreter that can import PyTorch; None for none.
    """

    folder: str
    size: int
    batch: int
    threads: int
    clock: str = "wall"
    torch_python: str = None


def set_up(case):
    """Write what all variants share."""
    command = [sys.executable, os.path.join(HERE, "step_setup.py"), case.folder]
    command += ["--size", str(case.size), "--batch", str(case.batch)]
    subprocess.run(command, check=True, env=environment(case, tuned=True), stdout=subprocess.DEVNULL)


def environment(case, tuned):
    """Return the environment of a process: without any setting, or with the number of threads alone."""
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return {**kept, "OMP_NUM_THREADS": str(case.threads)} if tuned else {**kept, "PADDLESEG_TUNE": "0"}


def start(variant, case):
    """Return the `Worker` of a variant."""
    if variant.role == "torch":
        command = [case.torch_python, os.path.join(HERE, "step_torch.py"), case.folder, case.clock]
        return Worker([*command, str(case.threads), *variant.flags], environment(case, variant.tuned))
    command = [sys.executable, os.path.join(HERE, "step_paddle.py"), variant.role, case.folder]
    cache = os.path.join(case.folder, "cache")
    flags = [flag.format(cache=cache) for flag in variant.flags]
    return Worker([*command, str(case.batch), case.clock, *flags], environment(case, variant.tuned))


@functools.lru_cache
def find_torch(python=None):
    """Return the interpreter to run PyTorch by: the one named, or this one if it has PyTorch; None for none."""
    return python or (sys.executable if importlib.util.find_spec("torch") else None)

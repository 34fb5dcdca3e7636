"""The ways to make a distillation step that `step.py` and `memory.py` compare: commands in environments."""

import dataclasses
import importlib.util
import os
import subprocess
import sys

from turns import Worker

from paddleseg.commands import flags
from paddleseg.errors import UserError
from paddleseg.utils.cpu import usable_cores

HERE = os.path.dirname(os.path.abspath(__file__))
# The settings of Paddle's speed; no way inherits them from the shell that runs the benchmark.
SETTINGS = ("MKL_DEBUG_CPU_TYPE", "OMP_NUM_THREADS", "PADDLESEG_TUNE", "PYTHONPATH")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to make the step.

    Attributes:
        name: in the table.
        role: "plain", "ours" or "torch".
        flags: of the toolkit's command; for PyTorch, the memory format.
        tuned: whether Paddle has the toolkit's settings instead of its own.
        environment: further pairs of variables and values.
    """

    name: str
    role: str
    flags: tuple = ()
    tuned: bool = True
    environment: tuple = ()


PLAIN = "plain loop, Paddle's defaults"
ENGINE = ("--teacher_engine", "onnxruntime")
AT_HEAD = ("--opts", "distill_loss.at=head")
CACHE = ("--teacher_engine", "paddle", "--teacher_cache", "{cache}", "--cache_views", "1")
VARIANTS = {
    "plain_default": Variant(PLAIN, "plain", tuned=False),
    "plain": Variant("plain loop, tuned", "plain"),
    "ours": Variant("distill_train.py, Paddle's teacher", "ours", ("--teacher_engine", "paddle")),
    "onnx": Variant("distill_train.py, onnxruntime's teacher", "ours", ENGINE),
    "head": Variant("onnxruntime's teacher, distill_loss.at: head", "ours", (*ENGINE, *AT_HEAD)),
    "cache": Variant("distill_train.py, teacher cache, all hits", "ours", CACHE),
    "cache_head": Variant("teacher cache, distill_loss.at: head", "ours", (*CACHE, *AT_HEAD)),
    "torch": Variant("PyTorch, contiguous", "torch", ("contiguous",)),
    "torch_last": Variant("PyTorch, channels_last", "torch", ("channels_last",)),
}
# The variants that all others are compared with in the table.
BASES = ("plain_default", "torch", "torch_last")
# The end of the key and the name of a variant that --try adds.
TRIED = " with --try"


@dataclasses.dataclass(frozen=True)
class Case:
    """What is computed.

    Attributes:
        folder: an existing one, for configs, images and weights; see `set_up`.
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


def add_case_flags(parser):
    """Add the flags for the case and for the ways to compare."""
    parser.add_argument(
        "--size", type=flags.positive, default=128, help="pixels a side, from 64 (default: 128)"
    )
    parser.add_argument("--batch", type=flags.positive, default=4, help="images a step (default: 4)")
    parser.add_argument(
        "--threads", type=flags.positive, default=usable_cores(), help="default: the usable cores"
    )
    parser.add_argument("--only", nargs="+", choices=tuple(VARIANTS), help="ways to compare (default: all)")
    parser.add_argument(
        "--torch_python",
        metavar="PYTHON",
        default=sys.executable if importlib.util.find_spec("torch") else None,
        help="an interpreter that has PyTorch (default: this one if it has)",
    )
    parser.add_argument(
        "--try",
        nargs="+",
        dest="tried",
        default=[],
        metavar="NAME=VALUE",
        help="also compare the toolkit's ways with all of these in their environment",
    )


def environment_flags(args):
    """Return the pairs of --try.

    Raises:
        UserError: one has no "=".
    """
    wrong = [text for text in args.tried if "=" not in text]
    if wrong:
        raise UserError(f"--try: {wrong[0]!r} is not of the form NAME=VALUE")
    return tuple(tuple(text.split("=", 1)) for text in args.tried)


def chosen(args, tried=()):
    """Return {key: `Variant`} of the ways to compare, and of the toolkit's with `tried` if there is any."""
    wanted = {
        key: variant
        for key, variant in VARIANTS.items()
        if key in (args.only or VARIANTS) and (args.torch_python or variant.role != "torch")
    }
    more = {
        key + TRIED: dataclasses.replace(variant, environment=tried)
        for key, variant in wanted.items()
        if tried and variant.role == "ours"
    }
    return {**wanted, **more}


def variant_name(key):
    """Return the name of a variant of `chosen` in a table."""
    base, tried, _ = key.partition(TRIED)
    return VARIANTS[base].name + tried


def case_name(size, batch, threads):
    """Return the name of a case."""
    return f"{size} x {size}, batch {batch}, {threads} thread(s)"


def set_up(case):
    """Write the files that all ways share to the case's folder."""
    command = [sys.executable, os.path.join(HERE, "step_setup.py"), case.folder]
    command += ["--size", str(case.size), "--batch", str(case.batch)]
    subprocess.run(command, check=True, env=environment(case, Variant("", "")), stdout=subprocess.DEVNULL)


def environment(case, variant):
    """Return the environment of a variant's process; of Paddle's settings it has only the threads."""
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    settings = {"OMP_NUM_THREADS": str(case.threads)} if variant.tuned else {"PADDLESEG_TUNE": "0"}
    return {**inherited, **settings, **dict(variant.environment)}


def start(variant, case):
    """Return the `Worker` of a variant."""
    if variant.role == "torch":
        command = [case.torch_python, os.path.join(HERE, "step_torch.py"), case.folder, case.clock]
        command += [str(case.threads), *variant.flags]
    else:
        command = [sys.executable, os.path.join(HERE, "step_paddle.py"), variant.role, case.folder]
        cache = os.path.join(case.folder, "cache")
        command += [str(case.batch), case.clock, *(flag.format(cache=cache) for flag in variant.flags)]
    return Worker(command, environment(case, variant))

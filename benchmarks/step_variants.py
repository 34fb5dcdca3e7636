"""The ways to make a step that `step.py` and `memory.py` compare: commands in environments."""

import dataclasses
import importlib.util
import os
import subprocess
import sys

import timing
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
        role: "plain"; "ours"; "torch"; or "paddleseg", the released one.
        flags: of the toolkit's command; for PyTorch, the memory format.
        work: "distil", or "train": the student alone.
        tuned: whether Paddle has the toolkit's settings instead of its own.
        environment: further pairs of variables and values.
    """

    name: str
    role: str
    flags: tuple = ()
    work: str = "distil"
    tuned: bool = True
    environment: tuple = ()


PLAIN = "plain loop, Paddle's defaults"
TEACHER = ("--teacher_engine", "paddle")
RUNTIME = ("--teacher_engine", "onnxruntime")
AT_HEAD = ("--opts", "distill_loss.at=head")
CACHE = (*TEACHER, "--teacher_cache", "{cache}", "--cache_views", "1")
MKL = ("--conv_engine", "paddle")
VARIANTS = {
    "plain_default": Variant(PLAIN, "plain", tuned=False),
    "plain": Variant("plain loop, tuned", "plain"),
    "paddleseg": Variant("released PaddleSeg, distillation", "paddleseg", tuned=False),
    "ours": Variant("distill_train.py, Paddle's teacher", "ours", TEACHER),
    "ours_mkl": Variant("the same, conv_engine paddle", "ours", (*TEACHER, *MKL)),
    "onnx": Variant("distill_train.py, onnxruntime's teacher", "ours", RUNTIME),
    "onnx_mkl": Variant("the same, conv_engine paddle", "ours", (*RUNTIME, *MKL)),
    "head": Variant("onnxruntime's teacher, distill_loss.at: head", "ours", (*RUNTIME, *AT_HEAD)),
    "cache": Variant("distill_train.py, teacher cache, all hits", "ours", CACHE),
    "cache_mkl": Variant("the same, conv_engine paddle", "ours", (*CACHE, *MKL)),
    "cache_head": Variant("teacher cache, distill_loss.at: head", "ours", (*CACHE, *AT_HEAD)),
    "torch": Variant("PyTorch, contiguous", "torch", ("contiguous",)),
    "torch_last": Variant("PyTorch, channels_last", "torch", ("channels_last",)),
    "paddleseg_train": Variant("released PaddleSeg, training", "paddleseg", work="train", tuned=False),
    "train": Variant("train.py", "ours", work="train"),
    "train_mkl": Variant("train.py, conv_engine paddle", "ours", MKL, work="train"),
    "torch_train": Variant("PyTorch training, contiguous", "torch", ("contiguous",), work="train"),
    "torch_train_last": Variant("PyTorch training, channels_last", "torch", ("channels_last",), work="train"),
}
# The way that all others which distil are compared with in the table.
BASE = "plain_default"
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
        paddleseg_python: the interpreter whose `paddleseg` is the released one; None for none.
    """

    folder: str
    size: int
    batch: int
    threads: int
    clock: str = "wall"
    torch_python: str = None
    paddleseg_python: str = None


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
        "--paddleseg_python",
        metavar="PYTHON",
        help="an interpreter whose paddleseg is the released PaddleSeg, to time it as well",
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
    missing = {
        role
        for role, python in (("torch", args.torch_python), ("paddleseg", args.paddleseg_python))
        if python is None
    }
    wanted = {
        key: variant
        for key, variant in VARIANTS.items()
        if key in (args.only or VARIANTS) and variant.role not in missing
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


def bases(seconds):
    """Return {what others are compared with: {work: key of a variant}} of {key: [seconds of each turn]}.

    PyTorch's is the faster of its two memory formats.
    """
    of_torch = {}
    for key in seconds:
        variant = VARIANTS[key.partition(TRIED)[0]]
        fastest = of_torch.get(variant.work)
        if variant.role == "torch" and (fastest is None or timing.ratio(seconds, key, fastest) < 1):
            of_torch[variant.work] = key
    plain = {VARIANTS[BASE].work: BASE} if BASE in seconds else {}
    return {name: found for name, found in (("the plain loop", plain), ("PyTorch", of_torch)) if found}


def work_of(key):
    """Return the work of a variant of `chosen`, "distil" or "train"."""
    return VARIANTS[key.partition(TRIED)[0]].work


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
        command += [str(case.threads), *variant.flags, variant.work]
    elif variant.role == "paddleseg":
        command = [case.paddleseg_python, os.path.join(HERE, "step_paddleseg.py"), variant.work, case.folder]
        command += [str(case.batch), case.clock]
    else:
        role = "plain" if variant.role == "plain" else variant.work
        command = [sys.executable, os.path.join(HERE, "step_paddle.py"), role, case.folder]
        cache = os.path.join(case.folder, "cache")
        command += [str(case.batch), case.clock, *(flag.format(cache=cache) for flag in variant.flags)]
    return Worker(command, environment(case, variant))

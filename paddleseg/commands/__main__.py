"""`paddleseg-distill COMMAND ...`: all commands under one name. `python -m paddleseg.commands` is the same.

Imports nothing heavy, so that `--help` answers at once.
"""

import functools
import importlib
import sys

from paddleseg import __version__
from paddleseg.commands import process
from paddleseg.commands.parser import PROGRAM, CommandParser
from paddleseg.errors import UserError, suggestion
from paddleseg.utils import shipped

# {command: (module of this package and its function, what it does)}
COMMANDS = {
    "train": ("train:main", "train a model by its labels alone (train.py)"),
    "distill": ("distill:main", "train a student under teachers (slim/distill/distill_train.py)"),
    "val": ("val:main", "evaluate a model (val.py)"),
    "predict": ("predict:main", "masks of photographs (predict.py)"),
    "export": ("export:main", "turn a model into a static graph or an ONNX file (export.py)"),
    "infer": ("infer:main", "run an exported model (deploy/infer.py)"),
    "ptq": ("ptq:main", "turn a trained model into 8-bit integers (slim/quant/ptq.py)"),
    "qat": ("qat:main", "train a student for 8-bit integers, and export it (slim/quant/qat.py)"),
    "prune": ("prune:main", "remove filters of a student, and train what remains (slim/prune/prune.py)"),
    "report": ("report:main", "compare runs on one page (tools/report.py)"),
    "compare": ("compare:main", "compare methods of distillation (tools/compare.py)"),
    "cost": ("cost:main", "what models cost (tools/cost.py)"),
    "check_dataset": ("check_dataset:main", "check the files of data sets (tools/check_dataset.py)"),
    "from_labelme": (
        "annotations:from_labelme",
        "labelme's files as a data set (tools/data/from_labelme.py)",
    ),
    "from_coco": ("annotations:from_coco", "a file of COCO as a data set (tools/data/from_coco.py)"),
    "from_voc": ("annotations:from_voc", "a folder like Pascal VOC's as a data set (tools/data/from_voc.py)"),
    "to_labelme": ("annotations:to_labelme", "masks as labelme's files (tools/data/to_labelme.py)"),
    "convert_masks": (
        "annotations:convert_masks",
        "masks of colours or other values as class indices (tools/data/convert_masks.py)",
    ),
    "split": ("annotations:split", "divide a data set into train, val and test (tools/data/split.py)"),
    "draw": ("annotations:draw", "masks over their images, on one sheet (tools/data/draw.py)"),
    "make_optic_disc": ("make_optic_disc:main", "draw a synthetic data set (tools/make_optic_disc.py)"),
    "demo": ("demo:main", "teacher, student, distilled student and its INT8 form, compared (tools/demo.py)"),
    "configs": ("configs:main", "list the shipped configs, or copy them"),
}


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print(_usage())
    elif name == "--version":
        print(f"{PROGRAM} {__version__}")
    elif name in COMMANDS:
        call(name, *([shipped.distill_config()] if name in ("distill", "qat", "prune") else []))
    elif name:
        raise UserError(f"{PROGRAM} has no command {name!r}; {suggestion(name, COMMANDS)}")
    else:
        raise UserError(f"name a command\n{_usage()}")


def call(name, *args):
    """Call a command's function with these arguments; its flags are those of `sys.argv` after its name."""
    module, function = COMMANDS[name][0].split(":")
    # What a run notes as its command, and what messages begin with.
    sys.argv[0], CommandParser.subcommand = PROGRAM, name
    getattr(importlib.import_module(f"paddleseg.commands.{module}"), function)(*args)


def _usage():
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {meaning}" for name, (_, meaning) in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND ...",
            "",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help lists a command's flags.",
        ]
    )


run = functools.partial(process.run, main)

if __name__ == "__main__":
    run()

"""What the scripts share that write documents from the registries."""

import argparse
import importlib
import sys
from pathlib import Path

from paddleseg.commands import runtime

ROOT = Path(__file__).resolve().parents[1]
TITLES = {"lr_scheduler": "learning-rate schedules", "dataset": "data sets", "loss": "losses"}


def registries():
    """Yield (title, registry, names) of each registry, without components from outside the package."""
    from paddleseg.cvlibs import manager
    from paddleseg.cvlibs.config import BUILT_IN

    for module in BUILT_IN:
        importlib.import_module(module)
    for registry in vars(manager).values():
        if isinstance(registry, manager.ComponentManager):
            names = [name for name in registry if registry[name].__module__.startswith("paddleseg.")]
            yield TITLES.get(registry.name, f"{registry.name}s"), registry, names


def others_of_paddleslim():
    """Return PaddleSlim's losses between features, without those whose name the project's own have."""
    from paddleslim.dygraph.dist.losses.basic_loss import BASIC_LOSS

    from paddleseg.cvlibs import manager

    modules = BASIC_LOSS.module_dict
    return {name: modules[name] for name in sorted(modules) if name not in manager.LOSSES}


def write_or_check(what, command, description, defaults, wanted):
    """Write the files that a script generates, or with `--check` print which are outdated and exit with 1.

    Args:
        what: the name of the contents, for the message.
        command: the command that writes them, for the message.
        description: of the script, for `--help`.
        defaults: paths of the files.
        wanted: `wanted(path)` returns the text that a file should have.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it is outdated")
    parser.add_argument("--files", type=Path, nargs="+", default=defaults, help="default: the project's own")
    args = parser.parse_args()
    runtime.prepare()
    outdated = False
    for path in args.files:
        new = wanted(path)
        old = path.read_text(encoding="utf-8") if path.is_file() else None
        if not args.check:
            path.write_text(new, encoding="utf-8")
        elif new != old:
            print(f"{path}: {what} is outdated; run {command}")
            outdated = True
    sys.exit(1 if outdated else 0)

"""Write the README's table of what is supported, from the registries.

python tools/supported.py            writes it
python tools/supported.py --check    says whether it is up to date: exit status 0, or 1 if it is not
"""

import argparse
import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from paddleseg.cli import run  # noqa: E402
from paddleseg.errors import UserError  # noqa: E402

BEGIN, END = "<!-- supported: begin -->", "<!-- supported: end -->"
TITLES = {"lr_scheduler": "learning-rate schedules", "dataset": "data sets"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the table is outdated")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="default: %(default)s")
    args = parser.parse_args()
    text = args.readme.read_text(encoding="utf-8")
    wanted = with_table(text, table(), args.readme)
    if not args.check:
        args.readme.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        print(f"{args.readme}: the table of what is supported is outdated; run python tools/supported.py")
        sys.exit(1)


def with_table(text, new, path):
    """Return a text with what is between the two markers replaced by `new`."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path} has no {BEGIN} with {END} after it, between which the table would go")
    return f"{before}{BEGIN}\n{new}{END}{after}"


def table():
    """Return the table in Markdown: a line for each registry, for losses one for each place they are used."""
    from paddleseg.cvlibs import manager
    from paddleseg.cvlibs.config import BUILT_IN

    for module in BUILT_IN:
        importlib.import_module(module)
    lines = ["| | by name in a config |", "|---|---|"]
    for registry in vars(manager).values():
        if not isinstance(registry, manager.ComponentManager):
            continue
        # Those of a user's, or of the tests, are none of the project's.
        names = [name for name in registry if registry[name].__module__.startswith("paddleseg.")]
        if registry is manager.LOSSES:
            lines += _losses(registry, names)
        elif names:
            lines.append(_line(TITLES.get(registry.name, f"{registry.name}s"), names))
    return "\n".join(lines) + "\n"


def _losses(registry, names):
    from paddleslim.dygraph.dist.losses.basic_loss import BASIC_LOSS

    others = [name for name in BASIC_LOSS.module_dict if name not in registry]
    against = {name: getattr(registry[name], "against", None) for name in names}
    return [
        _line("losses against the label", [name for name in names if against[name] != "teacher"]),
        _line("losses against the teacher", [name for name in names if against[name] != "label"]),
        _line("PaddleSlim's losses between features", sorted(others)),
    ]


def _line(title, names):
    return f"| {title} | {', '.join(f'`{name}`' for name in names)} |"


if __name__ == "__main__":
    run(main)

"""Write the READMEs' table of what is supported, from the registries.

python tools/supported.py            writes it
python tools/supported.py --check    says whether it is up to date: exit status 0, or 1 if it is not
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from generated import ROOT, others_of_paddleslim, registries, write_or_check  # noqa: E402

from paddleseg.cli import run  # noqa: E402
from paddleseg.errors import UserError  # noqa: E402

BEGIN, END = "<!-- supported: begin -->", "<!-- supported: end -->"
READMES = [ROOT / "README.md", ROOT / "README_CN.md"]


def main():
    write_or_check(
        "the table of what is supported",
        "python tools/supported.py",
        __doc__.splitlines()[0],
        READMES,
        lambda path: with_table(path.read_text(encoding="utf-8"), table(), path),
    )


def with_table(text, new, path):
    """Return a text with what is between the two markers replaced by `new`."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path} has no {BEGIN} with {END} after it, between which the table would go")
    return f"{before}{BEGIN}\n{new}{END}{after}"


def table():
    """Return the table in Markdown: a line for each registry, for losses one for each place they are used."""
    lines = ["| | by name in a config |", "|---|---|"]
    for title, registry, names in registries():
        if registry.name == "loss":
            lines += _losses(registry, names)
        elif names:
            lines.append(_line(title, names))
    return "\n".join(lines) + "\n"


def _losses(registry, names):
    against = {name: getattr(registry[name], "against", None) for name in names}
    return [
        _line("losses against the label", [name for name in names if against[name] != "teacher"]),
        _line("losses against the teacher", [name for name in names if against[name] != "label"]),
        _line("PaddleSlim's losses between features", others_of_paddleslim()),
    ]


def _line(title, names):
    return f"| {title} | {', '.join(f'`{name}`' for name in names)} |"


if __name__ == "__main__":
    run(main)

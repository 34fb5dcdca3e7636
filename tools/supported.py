"""Write the READMEs' table of what is supported, from the registries.

python tools/supported.py            writes it
python tools/supported.py --check    checks it: exit status 0 if it is up to date, else 1
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from generated import ROOT, others_of_paddleslim, registries, write_or_check  # noqa: E402

from paddleseg.commands.process import run  # noqa: E402
from paddleseg.errors import UserError  # noqa: E402

BEGIN, END = "<!-- supported: begin -->", "<!-- supported: end -->"
CHINESE = {
    "by name in a config": "配置中的名称",
    "models": "模型",
    "backbones": "骨干网络",
    "data sets": "数据集",
    "transforms": "数据变换",
    "losses against the label": "与标注比较的损失",
    "losses against the teacher": "与教师比较的损失",
    "PaddleSlim's losses between features": "PaddleSlim 的特征损失",
    "connectors": "连接器",
    "optimizers": "优化器",
    "learning-rate schedules": "学习率策略",
}
READMES = [ROOT / "README.md", ROOT / "README_CN.md"]


def main():
    write_or_check(
        "the table of what is supported",
        "python tools/supported.py",
        __doc__.splitlines()[0],
        READMES,
        wanted,
    )


def wanted(path):
    """Return the text that a README should have."""
    titles = CHINESE if path.stem.endswith("_CN") else {}
    return with_table(path.read_text(encoding="utf-8"), table(titles), path)


def with_table(text, new, path):
    """Return a text with `new` between its two markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path} has no {BEGIN} with {END} after it, to put the table between")
    return f"{before}{BEGIN}\n{new}{END}{after}"


def table(titles=None):
    """Return the table in Markdown: a line for each registry, and for losses one for each use.

    Args:
        titles: translations of the lines' titles.
    """
    lines = [("", "by name in a config"), ("---", "---")]
    for title, registry, names in registries():
        if registry.name == "loss":
            lines += _losses(registry, names)
        elif names:
            lines.append((title, _listed(names)))
    titles = titles or {}
    return "".join(f"| {' | '.join(titles.get(cell, cell) for cell in line)} |\n" for line in lines)


def _losses(registry, names):
    against = {name: getattr(registry[name], "against", None) for name in names}
    return [
        ("losses against the label", _listed(n for n in names if against[n] != "teacher")),
        ("losses against the teacher", _listed(n for n in names if against[n] != "label")),
        ("PaddleSlim's losses between features", _listed(others_of_paddleslim())),
    ]


def _listed(names):
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    run(main)

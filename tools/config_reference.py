"""Write docs/config.md, the reference of every key, component, parameter and flag.

python tools/config_reference.py            writes it
python tools/config_reference.py --check    checks it: exit status 0 if it is up to date, else 1
"""

import argparse
import inspect
import os
import re
import runpy
import sys
from pathlib import Path
from unittest import mock

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docstrings import meanings, prose  # noqa: E402
from generated import ROOT, others_of_paddleslim, registries, write_or_check  # noqa: E402

from paddleseg.commands.process import run  # noqa: E402

DOCUMENT = ROOT / "docs/config.md"
COMMANDS = (
    "train.py",
    "slim/distill/distill_train.py",
    "slim/quant/ptq.py",
    "slim/quant/qat.py",
    "slim/prune/prune.py",
    "val.py",
    "predict.py",
    "export.py",
    "deploy/infer.py",
    "tools/report.py",
    "tools/compare.py",
    "tools/cost.py",
    "tools/check_dataset.py",
    "tools/data/from_labelme.py",
    "tools/data/from_coco.py",
    "tools/data/from_voc.py",
    "tools/data/convert_masks.py",
    "tools/data/split.py",
    "tools/data/draw.py",
    "tools/data/to_labelme.py",
    "tools/make_optic_disc.py",
    "tools/demo.py",
)
# The values of parameters with these names; their annotations are less exact.
NESTED = {"backbone": "a backbone", "transforms": "a list of transforms", "losses": "a list of losses"}
FILLED_IN = "filled in"
INTRODUCTION = """\
# Reference of configs and commands

`python tools/config_reference.py` writes this file from the code's signatures and docstrings.

A component is written as `type`, its name, and its parameters:

```yaml
lr_scheduler:
  type: PolynomialDecay
  learning_rate: 0.01
```

An unknown key is refused, with its line and the nearest right name. Any key can be changed on the command
line: `--opts lr_scheduler.learning_rate=0.02`. In the columns of defaults, *filled in* marks a parameter
that follows from the rest of the config, so that you can leave it out: the number of classes, the mode of a
data set, the channels of features, the iterations of a schedule. The default of an `ignore_index` is that of
the config, or 255 if the config has none.
"""
KEYS = yaml.safe_load((ROOT / "tools/config_keys.yml").read_text(encoding="utf-8"))
# What stands before the table of each section of `KEYS`.
KEY_SECTIONS = {
    "FILES": "## Files that build on others",
    "TOP_LEVEL": "## Top level",
    "MODEL": "### `model`\n\nEvery model also takes:",
    "LOSSES": "### `loss`, `distill_loss`",
    "DISTILL": "### `distill`\n\nSee [Distillation](distillation.md).",
    "FEATURES": "An item of `distill.features`:",
    "TAPS": "A tap is a sublayer's dotted name, or one of the first three keys and perhaps the fourth:",
    "SCHEDULE": "A `schedule`:",
    "TEST_CONFIG": "### `test_config`\n\nSee [Evaluating](evaluating.md).",
    "EXPORT": "### `export`",
    "CLIPPING": "### `grad_clip_cfg` of an optimizer",
    "GROUPS": "### `custom_cfg` of an optimizer\n\nA list of:",
}
REQUIRED = "**required**"


def main():
    write_or_check(
        "the reference",
        "python tools/config_reference.py",
        __doc__.splitlines()[0],
        [DOCUMENT],
        lambda path: document(),
    )


def document():
    """Return the whole reference, in Markdown."""
    parts = [INTRODUCTION, *_keys(), "## Components\n"]
    for title, registry, names in registries():
        if names:
            parts += [f"### {title[0].upper()}{title[1:]}\n", *_components(registry, names)]
    parts += ["### PaddleSlim's losses between features\n", _paddleslim(), *_flags()]
    return "\n".join(parts)


def _keys():
    """Yield the sections on keys that belong to no component."""
    from paddleseg.options import EvalConfig

    for name, text in KEY_SECTIONS.items():
        yield f"{text}\n"
        if name == "TEST_CONFIG":
            yield parameter_table(EvalConfig)
        else:
            yield _table(("key", "value", "default", "meaning"), map(_key_row, KEYS[name].items()))


def _key_row(item):
    key, (value, default, meaning) = item
    return f"`{key}`", value, REQUIRED if default == "required" else default, meaning


def _components(registry, names):
    """Yield the text on a registry's components; those with equal parameters share a table."""
    alike = {}
    for name in names:
        table = parameter_table(registry[name], _filled_in(registry))
        alike.setdefault((table, inspect.getsourcefile(registry[name])), []).append(name)
    for (table, source), group in alike.items():
        link = f"[source](../{Path(source).relative_to(ROOT).as_posix()})"
        yield f"#### {', '.join(f'`{name}`' for name in group)}\n"
        if len(group) == 1:
            yield f"{_prose(registry[group[0]])}\n\n{link}\n"
        else:
            lines = [f"- `{name}`: {_prose(registry[name])}" for name in group]
            yield "\n".join([*lines, "", link, ""])
        yield table


def _prose(component):
    """Return a component's description, followed by that of the function that it refers to."""
    text = prose(component)
    reference = re.search(r"; see `(\w+)`\.$", text.partition("\n\n")[0])
    function = reference and getattr(sys.modules[component.__module__], reference[1])
    if inspect.isfunction(function):
        text = f"{text}\n\n{prose(function)}"
    lines = text.splitlines()
    # Indented lines are code, which needs no escapes.
    return "\n".join(line if line.startswith("    ") else _escaped(line) for line in lines)


def parameter_table(component, filled_in=()):
    """Return the table of a constructor's parameters, or a sentence that there are none.

    Args:
        component: a class or function.
        filled_in: names of parameters that a config may leave out.
    """
    from paddleseg.utils.signature import describe, expected_type, parameters

    described = meanings(component)
    rows = []
    for name, parameter in parameters(component).items():
        required = parameter.default is inspect.Parameter.empty
        default = REQUIRED if required else f"`{as_yaml(parameter.default)}`"
        if name in filled_in:
            default = FILLED_IN
        value = NESTED.get(name) or _escaped(describe(expected_type(parameter)))
        rows.append((f"`{name}`", value, default, _sentence(described[name])))
    if not rows:
        return "No parameters.\n"
    return _table(("parameter", "value", "default", "meaning"), rows)


def _filled_in(registry):
    from paddleseg.cvlibs.fill_in import STEPS, SUPPLIED_TO_CONNECTORS, SUPPLIED_TO_LOSSES

    by_registry = {
        "model": ("num_classes",),
        "backbone": ("in_channels",),
        "dataset": ("mode", "num_classes"),
        "loss": SUPPLIED_TO_LOSSES,
        "connector": SUPPLIED_TO_CONNECTORS,
        "lr_scheduler": STEPS,
    }
    return by_registry.get(registry.name, ())


def _sentence(meaning):
    """Return a parameter's meaning as a sentence, without the default, which has its own column."""
    without = re.sub(r" Default [^:;]+\.$", "", meaning).rstrip(".")
    return _escaped(re.sub(r"\bNone\b", "Null", f"{without[:1].upper()}{without[1:]}."))


def as_yaml(value):
    """Return a default as a config would write it."""
    if value is None:
        return "Null"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(as_yaml(item) for item in value)}]"
    if isinstance(value, str) and not value.strip():
        return f'"{value}"'
    return str(value)


def _paddleslim():
    rows = []
    for name, component in others_of_paddleslim().items():
        known = inspect.signature(component).parameters.values()
        rows.append((f"`{name}`", ", ".join(f"`{p}`" for p in known if p.name != "self") or "nothing"))
    text = "They compare features in `distill.features`, and are documented by PaddleSlim.\n"
    return f"{text}\n{_table(('name', 'takes'), rows)}"


def _flags():
    """Yield the section on the commands' flags."""
    yield "## Flags\n"
    yield "`--help` of each command prints the same.\n"
    scripts = {}
    for script in COMMANDS:
        for flag in flags_of(script):
            scripts.setdefault(flag, []).append(f"`{os.path.basename(script)}`")
    rows = [(*flag, ", ".join(names)) for flag, names in scripts.items()]
    yield _table(("flag", "value", "meaning", "of"), rows)


def flags_of(script):
    """Return (flag, value, meaning) of each flag that a script's `--help` shows, in Markdown.

    A flag's other names follow it.
    """
    parser = parser_of(script)
    shown = [action for action in parser._actions if action.help is not argparse.SUPPRESS]
    return [_flag(action, parser) for action in shown if action.dest != "help"]


def parser_of(script):
    """Return the `argparse.ArgumentParser` that a script builds before it does anything else."""

    class BuiltError(BaseException):
        pass

    def stop(parser, *_):
        raise BuiltError(parser)

    # A script imports its neighbours, as Python lets it when it is run.
    path = [str((ROOT / script).parent), *sys.path]
    with mock.patch.object(argparse.ArgumentParser, "parse_args", stop), mock.patch.object(sys, "path", path):
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        except BuiltError as built:
            return built.args[0]
    raise AssertionError(f"{script} has parsed no arguments")


def _flag(action, parser):
    value = ""
    if action.nargs != 0:
        metavar = action.metavar or (
            "{" + ",".join(action.choices) + "}" if action.choices else action.dest.upper()
        )
        value = f"`{parser._get_formatter()._format_args(action, metavar)}`"
    meaning = _escaped(action.help % {**vars(action), "prog": parser.prog})
    if action.required:
        meaning += f"; {REQUIRED}"
    return ", ".join(f"`{name}`" for name in action.option_strings), value, meaning


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(c) for c in line)} |" for line in lines) + "\n"


def _cell(text):
    return text.replace("|", "\\|")


def _escaped(text):
    """Return plain text with Markdown's signs escaped, except between backticks."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*<>\[\]])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    run(main)

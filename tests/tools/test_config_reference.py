"""docs/config.md is that of the code, and the code describes every parameter."""

import argparse

import pytest

from paddleseg.cvlibs import rules, yaml_file
from paddleseg.optimizers import clipping, groups
from paddleseg.options import inference as eval_config
from paddleseg.utils import signature


@pytest.fixture(scope="module")
def reference(tool):
    return tool("config_reference")


@pytest.fixture(scope="module")
def docstrings(tool):
    return tool("docstrings")


@pytest.fixture(scope="module")
def components(tool):
    """Every component of the project, by its registry and name."""
    return {
        (registry.name, name): registry[name]
        for _, registry, names in tool("generated").registries()
        for name in names
    }


@pytest.fixture(scope="module")
def document(reference):
    return reference.document()


def test_it_is_up_to_date(reference, repository, document):
    written = (repository / "docs/config.md").read_text(encoding="utf-8")
    assert written == document, "run python tools/config_reference.py"


def test_an_outdated_one_is_reported_and_rewritten(reference, run, tmp_path, capsys):
    copy = tmp_path / "config.md"
    assert run(reference, "--check", "--files", copy) == 1
    assert "outdated; run python tools/config_reference.py" in capsys.readouterr().out
    assert run(reference, "--files", copy) == 0
    assert run(reference, "--check", "--files", copy) == 0


def test_every_parameter_is_described(components, docstrings):
    silent = [
        f"{name}: {parameter}"
        for (_, name), component in components.items()
        for parameter in signature.parameters(component)
        if len(docstrings.meanings(component).get(parameter, "")) < 2
    ]
    assert not silent


def test_every_component_is_described(components, docstrings):
    assert not [name for (_, name), component in components.items() if not docstrings.prose(component)]


def test_no_described_parameter_is_gone(components, docstrings):
    # Of the class alone: what its base says may be the base's own parameters.
    gone = [
        f"{name}: {parameter}"
        for (_, name), component in components.items()
        for parameter in docstrings.arguments(component.__doc__)
        if parameter not in signature.parameters(component)
    ]
    assert not gone


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        ("FILES", (yaml_file.BASE_KEY, yaml_file.INHERIT_KEY)),
        ("TOP_LEVEL", {**rules.TOP_LEVEL, **rules.SECTIONS}),
        ("DISTILL", rules.DISTILL),
        ("FEATURES", rules.FEATURE),
        ("TAPS", rules.TAP),
        ("SCHEDULE", rules.SCHEDULE),
        ("CLIPPING", {"name", *(key for keys in clipping.KEYS.values() for key in keys)}),
        ("GROUPS", ("name", *groups.FACTORS)),
    ],
)
def test_the_keys_outside_components_are_those_that_the_checker_knows(reference, table, keys):
    assert set(reference.KEYS[table]) == set(keys)


def test_every_component_parameter_and_flag_is_in_it(document, components, reference, repository):
    for (_, name), component in components.items():
        assert f"`{name}`" in document
        for parameter in signature.parameters(component):
            assert f"\n| `{parameter}` |" in document
    for key in signature.parameters(eval_config.EvalConfig):
        assert f"\n| `{key}` |" in document
    for script in ("train.py", "val.py", "export.py", "slim/distill/distill_train.py"):
        for names, *_ in reference.flags_of(script):
            assert f"| {names} |" in document


def test_tables_have_as_many_cells_in_each_line(document):
    rows = [line.replace("\\|", "") for line in document.splitlines() if line.startswith("|")]
    assert all(row.endswith("|") for row in rows)
    widths = {}
    for row in rows:
        widths.setdefault(row.count("|"), []).append(row)
    assert set(widths) == {3, 5}, {width: lines[0] for width, lines in widths.items()}


class Base:
    """A base.

    Args:
        first, second: both
            of them.
        **others: any `a: b`.
    """


class Derived(Base):
    """What it is.

        a formula

    Args:
        second: its own, see below:
            more.

    Raises:
        UserError: never.
    """


class Silent(Derived):
    pass


def test_a_class_adds_to_the_descriptions_of_its_base(docstrings):
    assert docstrings.meanings(Silent) == {
        "first": "both of them.",
        "second": "its own, see below: more.",
        "others": "any `a: b`.",
    }
    assert docstrings.prose(Derived) == "What it is.\n\n    a formula"


def test_only_an_args_section_describes_parameters(docstrings):
    def plain(x):
        """Args:
        x: a number.
        """

    assert docstrings.prose(plain) == ""
    assert docstrings.meanings(lambda x: x) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "Null"), ((1, [True]), "[1, [True]]"), (" ", '" "'), ("mean", "mean"), (1e-8, "1e-08")],
)
def test_a_default_is_written_as_in_a_config(reference, value, text):
    assert reference.as_yaml(value) == text


def test_a_script_runs_no_further_than_its_flags(reference):
    parser = reference.parser_of("val.py")
    assert isinstance(parser, argparse.ArgumentParser)
    assert parser.parse_args(["--config", "x.yml"]).config == "x.yml"

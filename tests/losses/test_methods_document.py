"""The table and the YAML of docs/methods.md say what the losses are."""

import inspect
import re
from pathlib import Path

import pytest
import yaml
from methods import METHODS

from paddleseg.cvlibs import manager
from paddleseg.utils import signature

TEXT = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
ROWS = {row.split("`")[1]: row.split("|") for row in TEXT.splitlines() if row.startswith("| `")}
SUPPLIED = {"num_classes": 3, "student_channels": 4, "teacher_channels": 4}


def specs():
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        dic = yaml.safe_load(block)
        yield from dic.get("distill_loss", {}).get("types", [])
        yield from (feature["loss"] for feature in dic.get("distill", {}).get("features", []))


def test_every_method_has_a_row_and_an_example():
    names = {method.name for method in METHODS}
    assert set(ROWS) == names
    assert {spec["type"] for spec in specs()} == names


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_row(method):
    label, defaults = ROWS[method.name][4], ROWS[method.name][6]
    needed = getattr(method.loss_class, "needs_label", False)
    assert label.strip() == ("**needed**" if needed else "masks" if method.masks else "–")
    told = yaml.safe_load("{" + defaults.replace("`", "") + "}")
    known = signature.parameters(method.loss_class)
    actual = {name: p.default for name, p in known.items() if p.default is not inspect.Parameter.empty}
    filled_in = (*SUPPLIED, "ignore_index")
    assert told == {name: value for name, value in actual.items() if name not in filled_in}


@pytest.mark.parametrize("spec", list(specs()), ids=lambda spec: spec["type"])
def test_example_can_be_built(spec):
    component = manager.LOSSES[spec["type"]]
    supplied = {key: value for key, value in SUPPLIED.items() if signature.accepts(component, key)}
    arguments = {key: value for key, value in spec.items() if key != "type"}
    for key, value in arguments.items():
        assert signature.fits(value, signature.parameters(component)[key].annotation)
    component(**supplied, **arguments)

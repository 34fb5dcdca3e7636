"""The names of the losses, and the table and the YAML of docs/methods.md."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
import yaml

from paddleseg import losses
from paddleseg.losses.combine import takes_label
from paddleseg.utils import signature

TEXT = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
LINES = [row for row in TEXT.splitlines() if row.startswith("| `")]
ROWS = {row.split("`")[1]: row.split("|") for row in LINES if row.count("|") == 7}
COSTS = {row.split("`")[1]: row.split("|") for row in LINES if row.count("|") == 4}
FILLED_IN = {"num_classes": 3, "student_channels": 4, "teacher_channels": 16, "ignore_index": 255}
METHODS = [name for name in losses.__all__ if getattr(getattr(losses, name), "against", None) == "teacher"]


def specs():
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        dic = yaml.safe_load(block)
        yield from dic.get("distill_loss", {}).get("types", [])
        yield from (feature["loss"] for feature in dic.get("distill", {}).get("features", []))


def build(name, **arguments):
    component = getattr(losses, name)
    filled_in = {key: value for key, value in FILLED_IN.items() if signature.accepts(component, key)}
    return component(**filled_in, **arguments)


def test_paddlesegs_module_has_the_losses():
    from paddleseg.models import losses as of_models

    module = importlib.import_module("paddleseg.models.losses")
    assert module is of_models
    assert module.KLLoss is losses.KLLoss
    assert set(losses.__all__) <= set(dir(module))


def test_no_name_is_one_of_paddleslims():
    from paddleslim.dygraph.dist.losses.basic_loss import BASIC_LOSS

    # Its KLLoss takes two probabilities; PaddleSeg's, which is this project's, has always taken precedence.
    assert set(METHODS) & set(BASIC_LOSS.module_dict) == {"KLLoss"}


def test_every_method_has_a_row_and_an_example():
    assert set(ROWS) == set(COSTS) == set(METHODS)
    assert {spec["type"] for spec in specs()} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_row(name):
    label, defaults = ROWS[name][4], ROWS[name][6]
    needed = getattr(getattr(losses, name), "needs_label", False)
    masks = takes_label(build(name), 2)
    assert label.strip() == ("**needed**" if needed else "masks" if masks else "–")
    documented = yaml.safe_load("{" + defaults.replace("`", "") + "}")
    parameters = signature.parameters(getattr(losses, name)).items()
    actual = {key: p.default for key, p in parameters if p.default is not inspect.Parameter.empty}
    assert documented == {key: value for key, value in actual.items() if key not in FILLED_IN}


@pytest.mark.parametrize("spec", list(specs()), ids=lambda spec: spec["type"])
def test_example_can_be_built(spec):
    arguments = {key: value for key, value in spec.items() if key != "type"}
    parameters = signature.parameters(getattr(losses, spec["type"]))
    for key, value in arguments.items():
        assert signature.fits(value, parameters[key].annotation)
    build(spec["type"], **arguments)

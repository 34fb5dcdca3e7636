"""The plans that ship: every method builds, and the recipe is the method of the table."""

import os

import pytest
import yaml

from paddleseg.cvlibs import Config
from paddleseg.cvlibs.yaml_file import load_config

PLAN = "benchmarks/plans/camvid.yml"
RECIPE = "configs/recipes/deeplabv3p_resnet18_fitnet_camvid.yml"
RECIPES_METHOD = "FitNetLoss on five maps and KLLoss per pixel, coef 3"


@pytest.fixture(scope="module")
def plan(repository):
    with open(repository / PLAN, encoding="utf-8") as file:
        return yaml.safe_load(file)


def test_every_method_is_a_valid_config(plan, repository, tmp_path):
    student = os.path.join(os.path.dirname(repository / PLAN), plan["student"])
    for name, added in plan["methods"].items():
        path = tmp_path / "method.yml"
        path.write_text(yaml.safe_dump({"_base_": student, **(added or {})}), encoding="utf-8")
        cfg = Config(str(path))
        assert cfg["iters"] == load_config(student)[0]["iters"], name


def test_the_recipe_is_a_method_of_the_table(plan, repository):
    recipe, _ = load_config(str(repository / RECIPE))
    student, _ = load_config(str(repository / "benchmarks/plans/camvid/student.yml"))
    assert recipe == {**student, **plan["methods"][RECIPES_METHOD]}

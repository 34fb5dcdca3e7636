"""The plans that ship: every method is a valid config, and the recipes are methods of the table."""

import pytest
import yaml

from paddleseg.comparing.plan import read_plan
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.cvlibs.yaml_file import load_config

PLAN = "benchmarks/plans/camvid.yml"
# The pairs that take the default of configs/recipes.
PAIRS = (
    "camvid",
    "camvid_resnet18",
    "camvid_pp_liteseg",
    "camvid_mobilenetv2_x0_5",
    "optic_disc",
    "optic_disc_mobilenetv2",
)
# By which the default was chosen.
SELECTIONS = ("camvid_default", "camvid_default_mobilenetv2")
PLANS = tuple(
    f"benchmarks/plans/{name}.yml" for name in (*PAIRS, *SELECTIONS, "camvid_recipe", "camvid_mobilenetv2")
)
OF_PYTORCH = "benchmarks/plans/camvid_torch.yml"  # its teacher is a file of train_torch_teacher.py
WITHOUT_TAPS = "benchmarks/plans/camvid_mobilenetv2.yml"
DEFAULT = "the default"
RECIPES = {
    "deeplabv3p_resnet18_fitnet_dist_camvid.yml": "FitNetLoss on five maps and DISTLoss on logits",
    "deeplabv3p_resnet18_channelwise_camvid.yml": "SegChannelwiseLoss on logits",
}
PRETRAINING = "pretraining_resnet18_camvid.yml"
CHOSEN = {
    "FitNetLoss on five maps and KLLoss per pixel": "five maps until 300, KLLoss 10",
    "FitNetLoss on five maps and DISTLoss on logits": "five maps until 300, DISTLoss 1",
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


@pytest.mark.parametrize("path", [*PLANS, OF_PYTORCH])
def test_every_method_is_a_valid_config(path, repository, tmp_path):
    plan = read_plan(str(repository / path))
    for name, added in plan.methods.items():
        config = tmp_path / "method.yml"
        config.write_text(yaml.safe_dump({"_base_": plan.student, **added}), encoding="utf-8")
        assert Config(str(config))["iters"] == plan.iters, name


@pytest.mark.parametrize("path", PLANS)
def test_every_tap_is_a_layer_of_its_model(path, repository):
    plan = read_plan(str(repository / path))
    layers = {}
    for role in ("student", "teacher"):
        model = SegBuilder(Config(getattr(plan, role)).drop_pretrained()).model
        layers[role] = dict(model.named_sublayers())
    taps = [
        (role, feature[role])
        for added in plan.methods.values()
        for feature in added.get("distill", {}).get("features", ())
        for role in layers
    ]
    assert taps or path == WITHOUT_TAPS
    for role, tap in taps:
        name, index = (tap, 0) if isinstance(tap, str) else (tap["output_of"], tap["index"])
        assert name in layers[role]
        maps = len(getattr(layers[role][name], "feat_channels", (0,)))
        assert -maps <= index < maps


@pytest.mark.parametrize("name", PAIRS)
def test_each_pair_takes_the_default_as_it_is(name, repository):
    default = read(repository / "configs/recipes/default.yml")
    assert read_plan(str(repository / f"benchmarks/plans/{name}.yml")).methods[DEFAULT] == default


def test_a_teacher_of_pytorch_takes_the_default_with_the_name_of_its_tap(repository):
    default = read(repository / "configs/recipes/default.yml")
    plan = read_plan(str(repository / OF_PYTORCH))
    (tap,) = read(plan.teacher)["model"]["outputs"]["taps"]
    default["distill"]["features"][0]["teacher"] = tap
    assert plan.methods[DEFAULT] == default


@pytest.mark.parametrize("name", SELECTIONS)
def test_the_default_is_a_method_of_the_plans_that_chose_it(name, repository):
    default = read(repository / "configs/recipes/default.yml")
    methods = read(repository / f"benchmarks/plans/{name}.yml")["methods"]
    assert methods["DISTLoss, and FitNetLoss on the last but one map"] == default


@pytest.mark.parametrize("method", CHOSEN)
def test_what_was_chosen_on_another_seed_is_what_the_table_has(repository, method):
    chosen = read(repository / "benchmarks/plans/camvid_recipe.yml")["methods"][CHOSEN[method]]
    assert read(repository / PLAN)["methods"][method] == chosen


def test_a_recipe_is_a_method_of_the_table(repository):
    methods = read(repository / PLAN)["methods"]
    student, _ = load_config(str(repository / "benchmarks/plans/camvid/student.yml"))
    folder = repository / "configs/recipes"
    for name, method in RECIPES.items():
        assert load_config(str(folder / name))[0] == {**student, **methods[method]}


def test_pretraining_prepares_the_student_of_the_table(repository):
    student, _ = load_config(str(repository / "benchmarks/plans/camvid/student.yml"))
    path = repository / "configs/recipes" / PRETRAINING
    recipe, _ = load_config(str(path))
    assert recipe["model"] == {**student["model"], "num_classes": 11}
    assert recipe["unlabeled_dataset"]["transforms"] == student["train_dataset"]["transforms"]
    for key in ("batch_size", "optimizer", "lr_scheduler"):
        assert recipe[key] == student[key]
    cfg = Config(str(path), required=("model", "loss", "train_dataset"))
    layers = dict(SegBuilder(cfg).model.named_sublayers())
    teacher = read(repository / "benchmarks/plans/camvid/teacher_efficientnet_lite0.yml")["model"]
    for feature in cfg.feature_specs:
        assert feature["student"] in layers
        assert feature["teacher"] in teacher["outputs"]["taps"]

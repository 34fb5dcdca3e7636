"""A plan: what it may say, and schedules that keep their share of a training."""

import pytest
import tiny
import yaml

from paddleseg.comparing.plan import PLAIN, read_plan
from paddleseg.cvlibs import Config
from paddleseg.errors import UserError

FEATURE = {"student": "a", "teacher": "b", "schedule": {"start_iter": 10, "end_iter": 300, "end_factor": 0.1}}


@pytest.fixture
def write(tmp_path):
    """write(**changes) -> path of a plan with these keys changed; a value of None removes the key."""
    root = tiny.write_optic_disc(tmp_path / "data")
    rates = {"type": "PiecewiseDecay", "boundaries": [200, 400], "values": [0.1, 0.05, 0.01]}
    for role in ("teacher", "student"):
        dic = tiny.config(root, {"type": "TinyNet", "num_classes": 2}, iters=500, lr_scheduler=rates)
        tiny.write_yaml(tmp_path / f"{role}.yml", dic)

    def written(**changes):
        plan = {"teacher": "teacher.yml", "student": "student.yml", **changes}
        path = tmp_path / "plan.yml"
        path.write_text(yaml.safe_dump({k: v for k, v in plan.items() if v is not None}), encoding="utf-8")
        return str(path)

    return written


def test_a_plan_of_two_configs_alone_compares_methods_that_name_no_layer(write, repository):
    plan = read_plan(write())
    assert plan.seeds == [0, 1, 2]
    assert list(plan.methods) == [PLAIN, "KLLoss", "SegChannelwiseLoss", "the default"]
    with open(repository / "configs/recipes/default.yml", encoding="utf-8") as file:
        assert plan.methods["the default"] == yaml.safe_load(file)
    assert plan.iters == 500
    assert not plan.states_methods
    assert read_plan(write(methods={PLAIN: None})).states_methods


def test_a_method_may_be_a_file(write, tmp_path):
    added = {"distill_loss": {"types": [{"type": "DISTLoss"}], "coef": [1]}}
    tiny.write_yaml(tmp_path / "recipe.yml", added)
    assert read_plan(write(methods={PLAIN: None, "the recipe": "recipe.yml"})).methods["the recipe"] == added
    with pytest.raises(UserError, match="missing.yml"):
        read_plan(write(methods={PLAIN: None, "the recipe": "missing.yml"}))
    with pytest.raises(UserError, match="the recipe must be a mapping or the path"):
        read_plan(write(methods={PLAIN: None, "the recipe": [1]}))


def test_schedules_keep_their_share_of_a_shorter_training(write):
    plan = read_plan(write(methods={PLAIN: None, "maps": {"distill": {"features": [FEATURE]}}}))
    changes = plan.changes("maps", 250)
    assert changes["iters"] == 250
    assert changes["lr_scheduler"]["boundaries"] == [100, 200]
    assert changes["lr_scheduler"]["values"] == [0.1, 0.05, 0.01]
    (feature,) = changes["distill"]["features"]
    assert feature["schedule"] == {"start_iter": 5, "end_iter": 150, "end_factor": 0.1}
    assert plan.methods["maps"]["distill"]["features"][0] == FEATURE


def test_a_share_of_the_training_needs_no_scaling(write):
    schedule = {"start_iter": 50, "end_iter": 0.6}
    feature = {"student": "a", "teacher": "b", "schedule": schedule}
    plan = read_plan(write(methods={PLAIN: None, "maps": {"distill": {"features": [feature]}}}))
    (feature,) = plan.changes("maps", 250)["distill"]["features"]
    assert feature["schedule"] == {"start_iter": 25, "end_iter": 0.6}


def test_a_plan_shortened_by_iters_is_shortened_whole(write):
    plan = read_plan(write(methods={PLAIN: None, "maps": {"distill": {"features": [FEATURE]}}}), iters=50)
    assert plan.iters == 50
    assert plan.methods["maps"]["distill"]["features"] == [FEATURE]  # what a user takes for a whole training
    assert plan.changes("maps", 50)["distill"]["features"][0]["schedule"]["end_iter"] == 30
    assert plan.changes(PLAIN, 25)["lr_scheduler"]["boundaries"] == [10, 20]


def test_a_method_may_have_a_schedule_of_its_own(write, tmp_path):
    rates = {"boundaries": [50, 100]}
    plan = read_plan(write(methods={PLAIN: None, "early": {"lr_scheduler": rates}}))
    path = tmp_path / "changed.yml"
    changed = {"_base_": "student.yml", **plan.changes("early", 1000)}
    path.write_text(yaml.safe_dump(changed), encoding="utf-8")
    assert Config(str(path))["lr_scheduler"]["boundaries"] == [100, 200]


def test_a_schedule_that_drops_the_students_one_is_scaled_alone(write):
    rates = {"_inherited_": False, "type": "CosineAnnealingDecay", "learning_rate": 0.01, "T_max": 500}
    plan = read_plan(write(methods={PLAIN: None, "cosine": {"lr_scheduler": rates}}))
    assert plan.changes("cosine", 250)["lr_scheduler"] == {**rates, "T_max": 250}


def test_a_decay_in_each_iteration_reaches_the_same_rate(write):
    rates = {"_inherited_": False, "type": "ExponentialDecay", "learning_rate": 0.01, "gamma": 0.99}
    plan = read_plan(write(methods={PLAIN: None, "exponential": {"lr_scheduler": rates}}))
    gamma = plan.changes("exponential", 100)["lr_scheduler"]["gamma"]
    assert gamma**100 == pytest.approx(0.99**500)


def test_schedules_of_the_students_own_config_are_scaled(write, tmp_path):
    path = write(methods={PLAIN: None, "KL": {"distill_loss": {"types": [{"type": "KLLoss"}], "coef": [1]}}})
    student = yaml.safe_load((tmp_path / "student.yml").read_text(encoding="utf-8"))
    tiny.write_yaml(tmp_path / "student.yml", {**student, "distill": {"features": [FEATURE]}})
    (feature,) = read_plan(path).changes("KL", 250)["distill"]["features"]
    assert feature["schedule"] == {"start_iter": 5, "end_iter": 150, "end_factor": 0.1}


def test_rounding_keeps_boundaries_apart_and_ends_after_starts(write):
    rates = {"boundaries": [437, 462]}
    feature = {**FEATURE, "schedule": {"start_iter": 10, "end_iter": 30}}
    method = {"lr_scheduler": rates, "distill": {"features": [feature]}}
    changes = read_plan(write(methods={PLAIN: None, "late": method})).changes("late", 10)
    assert changes["lr_scheduler"]["boundaries"] == [9, 10]
    (feature,) = changes["distill"]["features"]
    assert feature["schedule"] == {"start_iter": 1, "end_iter": 2}


def test_a_schedule_that_is_wrong_stays_wrong(write):
    feature = {**FEATURE, "schedule": {"start_iter": 300, "end_iter": 100}}
    method = {"lr_scheduler": {"boundaries": [400, 300]}, "distill": {"features": [feature]}}
    changes = read_plan(write(methods={PLAIN: None, "wrong": method})).changes("wrong", 50)
    assert changes["lr_scheduler"]["boundaries"] == [40, 30]
    (feature,) = changes["distill"]["features"]
    assert feature["schedule"] == {"start_iter": 30, "end_iter": 10}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": None}, "teacher must be the path of a config"),
        ({"methods": {"KLLoss": {}}}, "methods lack 'student alone'"),
        ({"methods": [PLAIN]}, "methods must map names"),
        ({"methods": {PLAIN: None, "a b": {}, "a+b": {}}}, "two methods would share a folder"),
        ({"methods": {PLAIN: None, "teacher": {}}}, "a method cannot be called 'teacher'"),
        ({"methods": {PLAIN: None, 1: {}}}, "a method cannot be called 1"),
        ({"seeds": 3}, "seeds must be a list of whole numbers"),
        ({"seeds": [0, 1, 0]}, "each seed may be given once"),
        ({"method": {}}, "unknown key 'method'; did you mean 'methods'"),
    ],
)
def test_a_plan_that_is_wrong_is_refused(write, changes, message):
    with pytest.raises(UserError, match=message):
        read_plan(write(**changes))


def test_a_file_that_is_no_plan_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no plan .*none.yml"):
        read_plan(str(tmp_path / "none.yml"))
    (tmp_path / "list.yml").write_text("[1]", encoding="utf-8")
    with pytest.raises(UserError, match="must hold keys and values, not a list"):
        read_plan(str(tmp_path / "list.yml"))
    twice = (
        "methods:\n  student alone:\n  KL: {distill_loss: {coef: [1]}}\n  KL: {distill_loss: {coef: [2]}}\n"
    )
    (tmp_path / "twice.yml").write_text(twice, encoding="utf-8")
    with pytest.raises(UserError, match="two values: 'methods.KL' in lines 3 and 4"):
        read_plan(str(tmp_path / "twice.yml"))


def test_an_unknown_method_is_refused_with_the_nearest(write):
    plan = read_plan(write())
    assert plan.chosen(["KLLoss"]) == [PLAIN, "KLLoss"]
    with pytest.raises(UserError, match="did you mean 'KLLoss'"):
        plan.chosen(["KLoss"])

"""Features and their schedules as a config declares them."""

import pytest

from paddleseg.cvlibs import Config
from paddleseg.distill.features import Feature, Schedule, declared_taps, features_of_config
from paddleseg.distill.taps import Tap
from paddleseg.errors import UserError

TEXT = """
distill:
  features:
  - student: head.aspp
    loss: {type: L2Loss}
  - student: {attr: logit_list, index: 0}
    teacher: {input_of: head.conv}
    loss: {type: KLLoss, temperature: 2}
    weight: 50
    connector: null
    schedule: {start_iter: 3}
    teacher_index: 1
"""


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (Schedule(), [1, 1, 1, 1, 1, 1]),
        (Schedule(warmup_iters=4), [0.25, 0.5, 0.75, 1, 1, 1]),
        (Schedule(start_iter=2), [0, 0, 1, 1, 1, 1]),
        (Schedule(start_iter=1, warmup_iters=2, end_iter=4), [0, 0.5, 1, 1, 0, 0]),
        (Schedule(warmup_iters=10, end_iter=2), [0.1, 0.2, 0, 0, 0, 0]),
        (Schedule(warmup_iters=1), [1, 1, 1, 1, 1, 1]),
        (Schedule(end_iter=2, end_factor=0.25), [1, 1, 0.25, 0.25, 0.25, 0.25]),
        (Schedule(start_iter=1, end_iter=2, end_factor=2), [0, 1, 2, 2, 2, 2]),
        (Schedule(warmup_iters=4, end_iter=2, end_factor=0.5), [0.25, 0.5, 0.375, 0.5, 0.5, 0.5]),
    ],
)
def test_the_factor_of_the_weight_follows_the_schedule(schedule, factors):
    assert [schedule.factor(i) for i in range(1, 7)] == factors
    assert schedule.always_on == (0 not in factors)


@pytest.fixture
def features(tmp_path):
    path = tmp_path / "c.yml"
    path.write_text(TEXT, encoding="utf-8")
    return features_of_config(Config(str(path)))


def test_a_config_sets_some_fields_and_the_others_have_defaults(features):
    first, second = features
    assert first.student == first.teacher == Tap("output_of", "head.aspp")
    assert (first.weight, first.connector, first.teacher_index) == (1, "auto", 0)
    assert first.schedule == Schedule()
    assert second.student == Tap("attr", "logit_list", 0)
    assert second.teacher == Tap("input_of", "head.conv")
    assert (second.weight, second.connector, second.teacher_index) == (50, "none", 1)
    assert second.schedule == Schedule(start_iter=3)


@pytest.mark.parametrize(
    ("iters", "expected"), [(500, Schedule(50, 5, 300, 0.1)), (1, Schedule(1, 1, 1, 0.1))]
)
def test_a_schedule_may_be_shares_of_the_training(tmp_path, iters, expected):
    shares = "{start_iter: 0.1, warmup_iters: 0.01, end_iter: 0.6, end_factor: 0.1}"
    path = tmp_path / "c.yml"
    path.write_text(f"iters: {iters}\n" + TEXT.replace("{start_iter: 3}", shares), encoding="utf-8")
    assert features_of_config(Config(str(path)))[1].schedule == expected


@pytest.mark.parametrize("schedule", [{"end_iter": 0.6}, Schedule(end_iter=0.6)])
def test_a_share_needs_a_config(schedule):
    with pytest.raises(UserError, match="end_iter: only a config may give a share of the training"):
        Feature("a", "b", "FitNetLoss", schedule=schedule)


def test_names_and_places(features):
    first, second = features
    assert first.name == "head.aspp_L2Loss"
    assert second.name == "logit_list_0_KLLoss"
    assert first.place("student").endswith("c.yml:4: distill.features.0.student")
    assert second.place("teacher").endswith("c.yml:7: distill.features.1.teacher")


def test_each_teacher_has_the_taps_of_its_own_features(features):
    first, second = features
    assert [tap for tap, _ in declared_taps(features, "student")] == [first.student, second.student]
    assert [tap for tap, _ in declared_taps(features, "teacher", 0)] == [first.teacher]
    assert [tap for tap, _ in declared_taps(features, "teacher", 1)] == [second.teacher]

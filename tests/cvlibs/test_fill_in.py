"""What a config states once reaches every component that takes it."""

import re

import pytest
from whole_config import FULL, GREY

from paddleseg.cvlibs import Config, SegBuilder


def test_the_class_count_may_be_stated_once_anywhere(write):
    stated_by_model = Config(write(FULL))
    stated_on_top = Config(write("num_classes: 2\n" + FULL.replace(", num_classes: 2", "")))
    stated_by_data = Config(
        write(FULL.replace(", num_classes: 2", "").replace("[]}", "[], num_classes: 2}", 1))
    )
    for cfg in (stated_by_model, stated_on_top, stated_by_data):
        assert [cfg[s]["num_classes"] for s in ("model", "train_dataset", "val_dataset")] == [2, 2, 2]


def test_the_class_count_of_a_known_data_set_reaches_a_model_read_alone(write):
    text = (
        "imports: [components]\nmodel: {type: UserNet}\ntrain_dataset: {type: OpticDiscSeg, transforms: []}\n"
    )
    assert Config(write(text), sections=("model",))["model"]["num_classes"] == 2


def test_the_ignored_label_may_be_stated_once_anywhere(write):
    on_top = Config(write("ignore_index: 7\n" + FULL))
    by_loss = Config(
        write(FULL.replace("{type: CrossEntropyLoss}", "{type: CrossEntropyLoss, ignore_index: 7}"))
    )
    by_data = Config(write(FULL.replace("[]}", "[], ignore_index: 7}", 1)))
    for cfg in (on_top, by_loss, by_data):
        assert cfg["train_dataset"]["ignore_index"] == cfg["val_dataset"]["ignore_index"] == 7
        assert cfg["loss"]["types"][0]["ignore_index"] == 7
        assert cfg["distill_loss"]["types"] == [{"type": "KLLoss", "ignore_index": 7}, {"type": "UserLoss"}]


OF_ITS_CLASS = FULL.replace("UserData, transforms: []}", "IgnoringData, transforms: []}")


def test_the_ignored_label_of_a_data_sets_class_is_that_of_all(write):
    cfg = Config(write(OF_ITS_CLASS))
    assert cfg["loss"]["types"][0]["ignore_index"] == 0
    assert cfg["distill_loss"]["types"][0]["ignore_index"] == 0
    stating = OF_ITS_CLASS.replace(
        "IgnoringData, transforms: []", "IgnoringData, transforms: [], ignore_index: 3"
    )
    assert Config(write(stating))["loss"]["types"][0]["ignore_index"] == 3


def test_another_ignored_label_than_that_of_a_data_sets_class_is_refused(problems):
    reported = problems(
        OF_ITS_CLASS.replace("{type: CrossEntropyLoss}", "{type: CrossEntropyLoss, ignore_index: 255}")
    )
    assert len(reported) == 1
    assert re.search(r"loss.types.0.ignore_index: 255 as .*, but train_dataset \(.*\) has 0", reported[0])


def test_the_backbone_gets_the_channels_of_the_images(write):
    cfg = Config(write(GREY))
    assert cfg["model"]["backbone"]["in_channels"] == 1
    assert SegBuilder(cfg).model.state_dict()["backbone.conv1._conv.weight"].shape[1] == 1
    # Also where only the model is read.
    assert Config(write(GREY), sections=("model",))["model"]["backbone"]["in_channels"] == 1


def test_an_ignored_label_that_is_stated_nowhere_is_left_to_the_components(write):
    cfg = Config(write(FULL))
    assert "ignore_index" not in cfg["train_dataset"]
    assert cfg["loss"]["types"] == [{"type": "CrossEntropyLoss"}]


def test_each_data_set_gets_its_mode_unless_it_states_one(write):
    cfg = Config(write(FULL.replace("val_dataset: {", "val_dataset: {mode: test, ")))
    assert (cfg["train_dataset"]["mode"], cfg["val_dataset"]["mode"]) == ("train", "test")


def test_decay_steps_are_the_iterations_unless_stated(write):
    assert Config(write(FULL))["lr_scheduler"]["decay_steps"] == 10
    assert Config(write(FULL), iters=3)["lr_scheduler"]["decay_steps"] == 3
    for value, steps in (("5", 5), ("Null", 10), ("0", 0)):
        cfg = Config(write(FULL.replace("0.01}", f"0.01, decay_steps: {value}}}")))
        assert cfg["lr_scheduler"]["decay_steps"] == steps


@pytest.mark.parametrize(("keys", "steps"), [("", 10), (", warmup_iters: 4", 6), (", warmup_iters: 99", 1)])
@pytest.mark.parametrize(
    ("kind", "key"), [("PolynomialDecay", "decay_steps"), ("CosineAnnealingDecay", "T_max")]
)
def test_a_schedule_takes_the_iterations_that_its_warm_up_leaves(write, kind, key, keys, steps):
    text = FULL.replace("PolynomialDecay", kind).replace("0.01}", f"0.01{keys}}}")
    section = Config(write(text))["lr_scheduler"]
    assert section[key] == steps
    assert len({"decay_steps", "T_max"} & set(section)) == 1
    assert Config(write(text.replace("0.01", f"0.01, {key}: 5")))["lr_scheduler"][key] == 5


def test_a_schedule_of_fixed_steps_takes_none_of_the_iterations(write):
    schedule = "{type: StepDecay, learning_rate: 0.01, step_size: 3}"
    text = FULL.replace("{type: PolynomialDecay, learning_rate: 0.01}", schedule)
    assert Config(write(text))["lr_scheduler"] == {"type": "StepDecay", "learning_rate": 0.01, "step_size": 3}


def test_a_component_that_takes_any_key_gets_what_the_config_states_once(write):
    text = FULL.replace("UserData", "LooseData").replace("UserNet", "LooseNet")
    cfg = Config(write("ignore_index: 9\n" + text))
    assert cfg["val_dataset"] == {
        "type": "LooseData",
        "transforms": [],
        "num_classes": 2,
        "mode": "val",
        "ignore_index": 9,
    }


def test_other_sections_stay_as_they_are(write):
    cfg = Config(write("ignore_index: 9\n" + FULL), sections=("model",))
    assert cfg["train_dataset"] == {"type": "UserData", "transforms": []}
    assert cfg["loss"] == {"types": [{"type": "CrossEntropyLoss"}], "coef": [1]}


def test_logits_have_as_many_channels_as_there_are_classes(write):
    text = "imports: [distilling]\nnum_classes: 2\nignore_index: 7\n"
    text += "distill_loss: {types: [{type: MemoryLoss}], coef: [1]}\n"
    (spec,) = Config(write(text))["distill_loss"]["types"]
    assert spec == {
        "type": "MemoryLoss",
        "num_classes": 2,
        "student_channels": 2,
        "teacher_channels": 2,
        "ignore_index": 7,
    }

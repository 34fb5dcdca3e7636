"""What a training of a script states, without a config."""

import pytest

from paddleseg.cvlibs.script_config import ScriptConfig
from paddleseg.errors import UserError


def test_it_answers_what_the_loop_asks_a_config_for():
    cfg = ScriptConfig({"train_dataset": {"type": "OwnData"}}, 5, 4, 2, unlabeled_per_batch=1)
    assert (cfg.iters, cfg.batch_size, cfg.num_classes) == (5, 4, 2)
    assert cfg["train_dataset"] == {"type": "OwnData"}
    assert cfg.training_sections == ["train_dataset", "unlabeled_dataset"]
    assert cfg.place("train_dataset", "transforms") == "train_dataset.transforms"


@pytest.mark.parametrize("numbers", [{"iters": 0}, {"batch_size": True}])
def test_wrong_numbers_are_refused(numbers):
    with pytest.raises(UserError, match="must be a whole number above 0"):
        ScriptConfig({}, **{"iters": 1, "batch_size": 1, **numbers}, num_classes=2, unlabeled_per_batch=0)

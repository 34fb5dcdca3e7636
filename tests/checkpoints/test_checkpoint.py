import errno
import os

import pytest
from running import full_disk

from paddleseg import parallel
from paddleseg.checkpoints.checkpoint import BEST, BEST_EMA, Checkpoints, bring_best, mend, newest, read_state
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

WEIGHTS = {"model.pdparams": {"w": 1}}
FILES = {**WEIGHTS, "model.pdopt": {"m": 1}}


def folders(path):
    return sorted(os.listdir(path))


@pytest.fixture
def warnings(monkeypatch):
    told = []
    monkeypatch.setattr(logger, "warning", told.append)
    return told


def saved(path, *iterations, keep_max=9):
    checkpoints = Checkpoints(str(path), keep_max)
    for iteration in iterations:
        assert checkpoints.save(iteration, FILES, {"best": None})
    return checkpoints


def flip(path, byte=-2):
    """Flip one bit of a file."""
    with open(path, "r+b") as file:
        content = bytearray(file.read())
        content[byte] ^= 1
        file.seek(0)
        file.write(content)


def test_a_checkpoint_holds_its_files_its_state_and_a_manifest(tmp_path):
    checkpoints = saved(tmp_path, 3)
    assert folders(tmp_path / "iter_3") == ["manifest.json", "model.pdopt", "model.pdparams", "state.json"]
    assert read_state(str(tmp_path / "iter_3")) == {"iter": 3, "best": None}
    assert checkpoints.last_good == str(tmp_path / "iter_3")


def test_the_oldest_go_first_and_those_of_other_runs_stay(tmp_path):
    os.makedirs(tmp_path / "iter_1")
    checkpoints = saved(tmp_path, 10, 20, 30, keep_max=2)
    checkpoints.save_best(WEIGHTS, {})
    assert folders(tmp_path) == ["best_model", "iter_1", "iter_20", "iter_30"]


def test_a_resumed_run_goes_on_pruning_its_earlier_ones(tmp_path):
    saved(tmp_path, 10, 20)
    second = Checkpoints(str(tmp_path), keep_max=2, keep_from=20)
    second.save(30, FILES, {})
    assert folders(tmp_path) == ["iter_20", "iter_30"]


def test_saving_again_replaces_and_leaves_nothing_beside(tmp_path):
    checkpoints = saved(tmp_path, 10, keep_max=2)
    os.makedirs(tmp_path / "iter_10.part")  # of a run that was killed while saving
    checkpoints.save(10, FILES, {"bad_in_a_row": 2})
    assert folders(tmp_path) == ["iter_10"]
    assert read_state(str(tmp_path / "iter_10"))["bad_in_a_row"] == 2


def test_the_newest_is_by_number_not_by_name(tmp_path):
    saved(tmp_path, 9, 10, 100)
    os.makedirs(tmp_path / "iter_x")
    assert newest(str(tmp_path)) == str(tmp_path / "iter_100")


def test_damaged_ones_are_passed_over_with_a_warning(tmp_path, warnings):
    saved(tmp_path, 1, 2, 3)
    flip(tmp_path / "iter_3" / "model.pdparams")
    os.truncate(tmp_path / "iter_2" / "state.json", 4)
    assert newest(str(tmp_path)) == str(tmp_path / "iter_1")
    assert len(warnings) == 2
    assert "iter_3 is damaged and is skipped: model.pdparams differs from what was written" in warnings[0]


def test_without_any_sound_one_there_is_none(tmp_path, warnings):
    assert newest(str(tmp_path / "nowhere")) is None
    saved(tmp_path, 1)
    os.remove(tmp_path / "iter_1" / "manifest.json")
    assert newest(str(tmp_path)) is None


def test_a_save_that_fails_keeps_the_last_good_one_and_is_told(tmp_path, warnings, monkeypatch):
    checkpoints = saved(tmp_path, 1, keep_max=1)
    real = full_disk(monkeypatch, ".part")
    assert not checkpoints.save(2, FILES, {})
    assert not checkpoints.save_best(WEIGHTS, {})
    assert newest(str(tmp_path)) == checkpoints.last_good == str(tmp_path / "iter_1")
    assert "iter_2 cannot be written: No space left on device; the last good checkpoint is" in warnings[0]
    assert "training continues to the next save" in warnings[0]
    assert sorted(checkpoints.failed) == ["best_model", "iter_"]
    assert "No space left" in checkpoints.failed["iter_"]
    monkeypatch.setattr(os, "makedirs", real)
    assert checkpoints.save(3, FILES, {})
    assert list(checkpoints.failed) == ["best_model"]
    assert folders(tmp_path) == ["iter_3"]


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"there is no state.json; name an iter_N folder"):
        read_state(str(tmp_path))


def test_what_is_named_instead_of_a_checkpoint_is_called_what_it_is(tmp_path, warnings):
    with pytest.raises(UserError, match="resume_model .*nowhere: there is no such folder"):
        read_state(str(tmp_path / "nowhere"))
    saved(tmp_path, 1, 12)
    with pytest.raises(UserError, match="it is the folder of a run; name .* such as .*iter_12$"):
        read_state(str(tmp_path))
    with pytest.raises(UserError, match="it is a file; name its folder, .*iter_12$"):
        read_state(str(tmp_path / "iter_12" / "model.pdparams"))
    best = {name: content for name, content in FILES.items() if name == "model.pdparams"}
    Checkpoints(str(tmp_path)).save_best(best, {"best_iter": 1})
    with pytest.raises(UserError, match="best_model: it holds the weights of the best .* name an iter_N"):
        read_state(str(tmp_path / "best_model"))


def test_a_checkpoint_of_paddlesegs_is_no_damaged_one(tmp_path, warnings):
    saved(tmp_path, 1)
    folder = tmp_path / "iter_20"  # PaddleSeg writes weights and optimizer state alone
    folder.mkdir()
    for name in ("model.pdparams", "model.pdopt"):
        (folder / name).write_bytes((tmp_path / "iter_1" / name).read_bytes())
    remedy = (
        "it is a checkpoint of PaddleSeg, .* with model.pretrained .*iter_20/model.pdparams, without resume"
    )
    with pytest.raises(UserError, match=f"resume_model .*iter_20: {remedy}"):
        read_state(str(folder))
    assert newest(str(tmp_path)) == str(tmp_path / "iter_1")
    (warning,) = warnings
    assert "iter_20 is skipped: it is a checkpoint of PaddleSeg" in warning


def test_a_damaged_checkpoint_that_was_named_is_refused(tmp_path):
    saved(tmp_path, 1)
    flip(tmp_path / "iter_1" / "model.pdparams")
    with pytest.raises(UserError, match="iter_1 is damaged: model.pdparams differs from what was .* auto"):
        read_state(str(tmp_path / "iter_1"))


@pytest.mark.parametrize("missing", list(FILES))
def test_a_checkpoint_without_what_every_one_has_is_damaged(tmp_path, warnings, missing):
    files = {name: content for name, content in FILES.items() if name != missing}
    Checkpoints(str(tmp_path)).save(1, files, {})
    with pytest.raises(UserError, match=f"iter_1 is damaged: manifest.json does not list {missing}"):
        read_state(str(tmp_path / "iter_1"))
    assert newest(str(tmp_path)) is None


SCORE = {"best_miou": 0.5, "best_iter": 1, "best_class_iou": [0.5, float("nan"), 1]}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"iter": "1"}, "iter is str, not int"),
        ({"iter": True}, "iter is bool, not int"),
        ({"iter": None}, "iter is NoneType"),
        ({"iter": -1}, "iter is negative"),
        ({"outcome": []}, "outcome is list, not dict"),
        ({"evaluation_due": "no"}, "evaluation_due is str"),
        ({"bad_in_a_row": None}, "bad_in_a_row is NoneType"),
        ({"best": [1]}, "best is list, not dict"),
        ({"best": {"model": None}}, "best.model is NoneType, not dict"),
        ({"best": {"ema": {**SCORE, "best_miou": "high"}}}, "best.ema.best_miou is str, not float"),
        ({"best": {"model": {**SCORE, "best_class_iou": [None]}}}, "an item of best.model.best_class_iou is"),
        ({"best": {"without_better": 0.5}}, "best.without_better is float, not int"),
        ({"progress": {"sums": {"loss": []}, "good": 1}}, "progress.sums.loss is list, not float"),
        ({"progress": {"sums": {}, "good": 10**400}}, "progress.good is int, not float"),
        ({"progress": {"sums": {}}}, "KeyError.*good"),
        ({"progress": {}}, "KeyError.*sums"),
    ],
)
def test_a_state_that_no_training_wrote_is_refused(tmp_path, state, told):
    Checkpoints(str(tmp_path)).save(1, FILES, state)
    with pytest.raises(UserError, match=f"iter_1: state.json cannot be read: .*{told}"):
        read_state(str(tmp_path / "iter_1"))


def test_a_state_of_every_part_is_read(tmp_path):
    best = {"model": SCORE, "ema": {"best_miou": -1.0, "best_iter": 0}, "without_better": 1}
    progress = {"sums": {"loss": 1.5}, "good": 2.0}
    state = {"best": best, "progress": progress, "outcome": {"iters": 3}, "evaluation_due": True}
    Checkpoints(str(tmp_path)).save(1, FILES, {**state, "bad_in_a_row": 0, "curves": None})
    assert read_state(str(tmp_path / "iter_1"))["progress"] == progress


def test_a_run_killed_while_it_replaced_its_best_has_it_again(tmp_path):
    checkpoints = saved(tmp_path, 1)
    checkpoints.save_best(WEIGHTS, {"best_iter": 1})
    os.rename(tmp_path / "best_model", tmp_path / "best_model.old")
    os.makedirs(tmp_path / "best_model.part")
    os.makedirs(tmp_path / "mine.part")
    mend(str(tmp_path))
    assert folders(tmp_path) == ["best_model", "iter_1", "mine.part"]


@pytest.mark.parametrize(("best_iter", "brought"), [(1, True), (2, False)])
def test_the_best_weights_go_along_to_another_folder_if_they_are_those_meant(tmp_path, best_iter, brought):
    checkpoints = saved(tmp_path / "old", 1)
    checkpoints.save_best(WEIGHTS, {"best_iter": best_iter})
    os.makedirs(tmp_path / "new")
    best = {"model": {"best_iter": 1}}
    there = bring_best(str(tmp_path / "old" / "iter_1"), str(tmp_path / "new"), best)
    assert there == ({"model"} if brought else set())
    assert folders(tmp_path / "new") == (["best_model"] if brought else [])


def test_whether_the_best_weights_are_there_is_for_the_first_rank_to_say(tmp_path, monkeypatch):
    """On a machine without the folder, a rank takes the answer of the rank that keeps it."""
    monkeypatch.setattr(parallel, "rank", lambda: 1)
    monkeypatch.setattr(parallel, "most_over_ranks", lambda own: max(own, 1))
    best = {"model": {"best_iter": 2}, "ema": {"best_iter": 2}}
    assert bring_best(str(tmp_path / "iter_2"), str(tmp_path / "here"), best) == {"model"}


FILE_OF = {BEST: "model.pdparams", BEST_EMA: "ema_model.pdparams"}


@pytest.mark.parametrize("spoilt", [BEST, BEST_EMA])
@pytest.mark.parametrize("damaged", [False, True])
def test_best_weights_that_are_there_must_be_sound_and_those_meant(tmp_path, spoilt, damaged):
    checkpoints = saved(tmp_path, 1)
    for name in (BEST, BEST_EMA):
        iteration = 1 if damaged or name != spoilt else 2
        checkpoints.save_best({FILE_OF[name]: FILES["model.pdparams"]}, {"best_iter": iteration}, name)
    if damaged:
        flip(tmp_path / spoilt / FILE_OF[spoilt])
    best = {"model": {"best_iter": 1}, "ema": {"best_iter": 1}}
    there = bring_best(str(tmp_path / "iter_1"), str(tmp_path), best)
    assert there == ({"ema"} if spoilt == BEST else {"model"})


def test_the_best_weights_arrive_whole_or_not_at_all(tmp_path, monkeypatch):
    saved(tmp_path / "old", 1).save_best(WEIGHTS, {"best_iter": 1})
    os.makedirs(tmp_path / "old" / "best_model" / "onnx")  # which somebody has exported to it
    os.makedirs(tmp_path / "new")

    def fails(*paths):
        raise OSError(errno.ENOSPC, "No space left on device")

    arguments = str(tmp_path / "old" / "iter_1"), str(tmp_path / "new"), {"model": {"best_iter": 1}}
    with monkeypatch.context() as full:
        full.setattr("shutil.copyfile", fails)
        with pytest.raises(UserError, match="best_model cannot be written: No space left"):
            bring_best(*arguments)
    assert folders(tmp_path / "new") == []
    assert bring_best(*arguments) == {"model"}

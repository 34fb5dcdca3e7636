"""Runs read from their folders, and what they are to each other."""

import json
import os

import pytest

from paddleseg.errors import UserError
from paddleseg.report.runs import comparisons, kind_of, lies_in, read_runs

STUDENT = {"type": "TinyNet", "width": 4}
TEACHER = {"type": "TinyNet", "width": 6}


def taught_by(weights, model=TEACHER):
    return {"role": "distill", "teachers": [{"config": {"model": model}, "weights": weights}]}


def kinds(folders):
    runs = read_runs(folders)
    compared = comparisons(runs)
    return {run.name: kind_of(run, compared) for run in runs}


def test_a_url_lies_in_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lies_in("best_model/model.pdparams", ".")
    assert not lies_in("https://example.com/model.pdparams", ".")


def test_a_training_is_read_as_it_was(trained):
    run, distilled = read_runs([trained / "plain_1", trained / "distilled_0"])
    assert (run.name, run.distilled, run.seed) == ("plain_1", False, 1)
    assert [entry["iteration"] for entry in run.evaluations()] == [4, 8]
    with open(trained / "plain_1" / "best_model" / "state.json", encoding="utf-8") as file:
        state = json.load(file)
    assert run.best["miou"] == state["best_miou"]
    assert run.best["iteration"] == state["best_iter"]
    assert os.path.isfile(run.weights)
    assert distilled.distilled


def test_the_kinds_of_real_runs(trained):
    names = ("teacher", "plain_0", "plain_1", "distilled_0", "distilled_1")
    runs = read_runs([trained / name for name in names])
    (compared,) = comparisons(runs)
    assert (compared.teachers, compared.plain, compared.distilled) == (runs[:1], runs[1:3], runs[3:])
    assert [kind_of(run, [compared]) for run in runs] == ["teacher", *["plain"] * 2, *["distilled"] * 2]


def test_a_teacher_is_recognised_by_its_weights_even_if_it_is_the_students_model(made_up):
    first, second = made_up("first", STUDENT), made_up("second", STUDENT)
    born_again = made_up("again", STUDENT, **taught_by(f"{first}/best_model/model.pdparams", STUDENT))
    assert kinds([first, second, born_again]) == {"first": "teacher", "second": "plain", "again": "distilled"}


def test_a_teacher_whose_weights_were_moved_is_recognised_by_its_model(made_up):
    folders = [made_up("big", TEACHER), made_up("small", STUDENT), made_up("other", {"type": "Other"})]
    folders.append(made_up("d", {**STUDENT, "pretrained": "x"}, **taught_by("/elsewhere/w.pdparams")))
    expected = {"big": "teacher", "small": "plain", "other": "trained", "d": "distilled"}
    assert kinds(folders) == expected


def test_distillations_are_grouped_unless_more_than_the_seed_differs(made_up):
    teaching = taught_by("/elsewhere/w.pdparams")
    same = [made_up(f"same_{k}", STUDENT, **{**teaching, "seed": k}) for k in (0, 1)]
    other_loss = made_up("loss", STUDENT, config={"distill_loss": {"coef": [2]}}, **teaching)
    other_file = made_up("file", STUDENT, distill_config_sha256="ab", **teaching)
    other_teacher = made_up("t", STUDENT, **taught_by("/elsewhere/v.pdparams"))
    compared = comparisons(read_runs([*same, other_loss, other_file, other_teacher]))
    assert [[run.name for run in c.distilled] for c in compared] == [
        ["same_0", "same_1"],
        ["loss"],
        ["file"],
        ["t"],
    ]


def test_equal_names_are_distinguished_by_their_folders(made_up):
    folders = [made_up("a/run"), made_up("b/run")]
    assert [run.name for run in read_runs(folders)] == ["a/run", "b/run"]
    folders = [made_up("a/nested"), made_up("a/nested/nested")]
    assert [run.name for run in read_runs(folders)] == ["nested", "nested/nested"]


def test_a_link_has_its_own_name_and_is_the_run_it_leads_to(made_up, tmp_path):
    folder, link = made_up("seed_0"), tmp_path / "student"
    link.symlink_to(folder, target_is_directory=True)
    (run,) = read_runs([f"{link}/"])
    assert run.name == "student"
    assert str(link) in run.origin
    with pytest.raises(UserError, match="given 2 times"):
        read_runs([link, folder])


def test_the_best_is_that_of_the_history_if_the_weights_have_no_scores(made_up):
    evaluations = [
        {"kind": "eval", "iteration": 2, "miou": 0.5, "class_iou": [0.4, 0.6]},
        {"kind": "eval", "iteration": 2, "miou": 0.9, "class_iou": [0.9, 0.9], "ema": True},
        {"kind": "eval", "iteration": 4, "miou": 0.3, "class_iou": [0.2, 0.4]},
        {"kind": "eval", "iteration": 6, "miou": None, "class_iou": [None, None]},
    ]
    (run,) = read_runs([made_up("a", history=evaluations)])
    assert run.best == {"miou": 0.5, "class_iou": [0.4, 0.6], "iteration": 2}
    assert run.weights is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"a holds no run: it has no run\.yml; name the save_dir of a training"),
        ("[1", r"run\.yml cannot be read: while parsing"),
        ("[1, 2]", r"is not of a training"),
        ("{config: {}, role: juggle}", r"is not of a training"),
        ("{role: train}", r"is not of a training"),
        ("{config: {}, role: distill, teachers: 5}", r"run\.yml: teachers must be a list of"),
        ("{config: {}, role: distill, teachers: [null]}", r"run\.yml: teachers must be a list of"),
        ("{config: {}, role: distill, teachers: [{config: {model: A}}]}", r"teachers must be a list of"),
        ("{config: {}, role: distill, teachers: [{weights: 5}]}", r"teachers must be a list of"),
    ],
)
def test_a_folder_that_is_no_run_is_refused(tmp_path, text, message):
    (tmp_path / "a").mkdir()
    if text is not None:
        (tmp_path / "a" / "run.yml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        read_runs([tmp_path / "a"])
    assert "\n" not in str(error.value)


def test_damaged_confusion_matrices_are_refused(made_up):
    (run,) = read_runs([made_up("a", miou=0.5)])
    path = os.path.join(run.folder, "confusions.npz")
    for content in (b"", b"PK half of a file"):
        with open(path, "wb") as file:
            file.write(content)
        with pytest.raises(UserError, match="confusions.npz is damaged .*; remove it"):
            _ = run.confusions


def test_a_run_given_twice_is_refused(made_up):
    folder = made_up("a")
    with pytest.raises(UserError, match="given 2 times"):
        read_runs([folder, folder + "/"])


def test_a_command_is_shown_as_a_user_types_it(made_up):
    with_command, without = read_runs(
        [made_up("a", command=["train.py", "--config", "my c.yml"]), made_up("b")]
    )
    assert with_command.command == "python train.py --config 'my c.yml'"
    assert without.command == ""


def test_classes_have_the_names_of_the_data_set(made_up):
    folders = [
        made_up("a", config={"val_dataset": {"type": "OpticDiscSeg"}}),
        made_up("b", config={"val_dataset": {"type": "NoSuchSet"}}),
        made_up("c"),
        made_up("d", config={"val_dataset": {"type": "Dataset", "class_names": ["soil", "leaf"]}}),
        made_up("e", config={"val_dataset": {"type": "OwnSet", "class_names": "names.txt"}}),
    ]
    names = [run.class_names for run in read_runs(folders)]
    assert names == [("background", "optic disc"), (), (), ("soil", "leaf"), ()]

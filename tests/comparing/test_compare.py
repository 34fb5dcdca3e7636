"""A comparison of tiny models by the command: at equal time and iterations, within a budget, and repeated."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny
from comparisons import environment, rows_of, teacher_weights
from filelock import FileLock

from paddleseg.comparing import compare
from paddleseg.comparing.plan import PLAIN
from paddleseg.errors import UserError
from paddleseg.evaluation.metrics import compute_scores
from paddleseg.options import CompareOptions
from paddleseg.report import read_runs


class Hidden:
    """A context in which a folder has another name."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        self.folder.rename(f"{self.folder}.hidden")

    def __exit__(self, *_):
        pathlib.Path(f"{self.folder}.hidden").rename(self.folder)


def test_both_matches_stand_in_one_table(folder, printed):
    rows = rows_of(folder / "both")
    assert [(row["method"], row["equal"]) for row in rows] == [
        ("teacher", ""),
        *[("student alone", "")] * 2,
        *[("KL, 3", "iterations")] * 2,
        *[("KL, 3", "time")] * 2,
    ]
    pace = json.loads((folder / "both" / "pace.json").read_text(encoding="utf-8"))
    assert [len(measured["turns"]) for measured in pace.values()] == [2, 2]
    equal_time = round(20 * pace["student alone"]["seconds"] / pace["KL, 3"]["seconds"])
    assert {row["iters"] for row in rows if row["equal"] == "time"} == {str(equal_time)}
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert (folder / "both" / "report.html").is_file()
    assert re.search(r"better|worse|not shown", printed)
    assert re.search("(shown to be better than the plain student|The best) at equal time", printed)
    assert "mIoU 0" in printed
    runs = read_runs([str(folder / "both" / f"{name}_20_seed0") for name in ("student_alone", "KL_3")])
    assert [run.record["command"][:2] for run in runs] == [
        ["paddleseg-distill", "train"],
        ["paddleseg-distill", "distill"],
    ]


@pytest.mark.usefixtures("in_folder")
def test_a_repeated_comparison_trains_nothing(printed, lines):
    options = CompareOptions(match="both", only=["KL, 3"], turns=2, jobs=2, out="both", device="cpu")
    again = compare("plan.yml", options)
    assert not any("training;" in line for line in lines)
    assert again[again.index("| method") :] == printed[printed.index("| method") :].rstrip("\n")


@pytest.mark.usefixtures("in_folder", "printed")
def test_another_method_leaves_the_finished_trainings_as_they_are(folder, lines):
    def pace(name):
        return json.loads((folder / name / "pace.json").read_text(encoding="utf-8"))

    shutil.copytree(folder / "both", folder / "moved")
    given = {"match": "time", "only": ["KL, 3", "channels"], "turns": 2, "jobs": 2, "out": "moved"}
    with Hidden(folder / "both"):  # nothing is read from where the trainings were
        compare("plan.yml", CompareOptions(**given, device="cpu"))
    before, after = pace("both"), pace("moved")
    assert {name: after[name] for name in before} == before
    assert "channels" in after
    trained = {line.split(",")[0].split("\t")[-1] for line in lines if "training;" in line}
    assert trained == {"channels"}


@pytest.mark.usefixtures("printed")
def test_the_confusion_matrices_of_the_images_give_the_score_of_the_training(folder):
    for seed in (0, 1):
        of_run = folder / "both" / f"student_alone_20_seed{seed}"
        stored = json.loads((of_run / "result.json").read_text(encoding="utf-8"))
        with np.load(of_run / "confusions.npz") as file:
            matrices = file["matrices"]
        assert len(matrices) == 5
        assert compute_scores(matrices.sum(axis=0)).miou == pytest.approx(stored["miou"], abs=1e-12)


@pytest.mark.usefixtures("in_folder", "printed")
def test_a_budget_leaves_the_best_method_and_the_plain_student(folder, lines):
    weights = teacher_weights(folder)
    given = {"budget": 3600, "seeds": [0], "turns": 1, "teacher_weights": weights, "out": "within"}
    compare("plan.yml", CompareOptions(**given, device="cpu"))
    teacher, *rows = rows_of(folder / "within")
    (of_run,) = [row for row in rows_of(folder / "both") if row["method"] == "teacher"]
    assert (teacher["method"], teacher["miou"], teacher["seconds"]) == ("teacher", of_run["miou"], "")
    budget = json.loads((folder / "within" / "budget.json").read_text(encoding="utf-8"))
    screened, final = (decision["iters"] for decision in budget["decisions"].values())
    assert set(screened) == {"KL, 3", "channels"}
    assert all(10 <= iters <= 20 for iters in [*screened.values(), *final.values()])
    scores = {}
    for name in ("KL_3", "channels"):
        (result,) = (folder / "within").glob(f"{name}_*_seed2/result.json")  # neither of the plan
        scores[json.loads(result.read_text(encoding="utf-8"))["training"]["method"]] = json.loads(
            result.read_text(encoding="utf-8")
        )["miou"]
    best = max(scores, key=scores.get)
    assert [row["method"] for row in rows] == ["student alone", best]
    assert any(f"after round 1 of 1 {best} remain" in line for line in lines)


@pytest.mark.usefixtures("in_folder", "printed")
def test_a_budget_that_is_too_short_says_so(folder, lines):
    weights = teacher_weights(folder)
    given = {"budget": 2, "seeds": [0], "teacher_weights": weights, "only": ["KL, 3"], "out": "short"}
    table = compare("plan.yml", CompareOptions(**given, device="cpu"))
    assert any(re.search("have taken .* s of the budget of 2 s, so little is left", line) for line in lines)
    assert "The budget allowed the plain student 10 of its 20 iterations." in table
    pace = json.loads((folder / "short" / "pace.json").read_text(encoding="utf-8"))
    assert [len(measured["turns"]) for measured in pace.values()] == [1, 1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--budget", "soon"], "must be a time such as 2h"),
        (
            ["--budget", "1h", "--jobs", "2"],
            "jobs 2: with a budget, each training runs alone",
        ),
        (["--teacher_weights", "none.pdparams"], "teacher_weights none.pdparams: there is no such file"),
        (["--only", "KL"], "the plan has no method 'KL'"),
        (["--teacher_engine", "onnx"], "teacher_engine: unknown engine 'onnx'"),
    ],
)
@pytest.mark.usefixtures("in_folder")
def test_wrong_flags_are_refused(command, flags, message):
    status, err = command("tools/compare.py", "plan.yml", *flags, "--out", "refused", "--device", "cpu")
    assert status == 2
    assert message in err


@pytest.mark.usefixtures("in_folder", "printed")
def test_a_teacher_that_the_student_alone_equals_is_named(folder, lines):
    mious = {row["seed"]: float(row["miou"]) for row in rows_of(folder / "both") if row["method"] == PLAIN}
    better, worse = sorted(mious, key=mious.get, reverse=True)
    assert mious[better] > mious[worse]
    tiny.write_yaml(folder / "equalled.yml", {"teacher": "student.yml", "student": "student.yml"})
    # The better of the two students teaches, so it equals its teacher. The other one is below it.
    weights = folder / "both" / f"student_alone_20_seed{better}" / "best_model" / "model.pdparams"
    given = {"teacher_weights": str(weights), "only": [PLAIN], "out": "equalled", "device": "cpu"}
    compare("equalled.yml", CompareOptions(**given, seeds=[int(worse)]))
    assert not any("no better than the student alone" in line for line in lines)
    compare("equalled.yml", CompareOptions(**given, seeds=[int(better)]))
    (warning,) = [line for line in lines if "no better than the student alone" in line]
    assert f"seed {better}: mIoU {mious[better]:.4f}, and the teacher has {mious[better]:.4f}" in warning


@pytest.mark.usefixtures("in_folder")
def test_two_comparisons_need_two_folders(tmp_path):
    with FileLock(tmp_path / "lock"), pytest.raises(UserError, match="another comparison runs there"):
        compare("plan.yml", CompareOptions(out=str(tmp_path), device="cpu"))


def test_a_signal_ends_the_comparison_and_the_training_that_runs(folder, repository):
    weights = tiny.save_weights(folder / "untrained.pdparams", tiny.TinyNet(width=8))
    flags = ["--teacher_weights", weights, "--iters", "1000000", "--out", "stopped", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, str(repository / "tools/compare.py"), "plan.yml", *flags],
        cwd=folder,
        env={**os.environ, **environment()},
    )
    first = folder / "stopped" / "student_alone_1000000_seed0"
    deadline = time.monotonic() + 120
    while not (first / "history.jsonl").is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.terminate()
    assert process.wait(timeout=120) == 128 + signal.SIGTERM
    assert list(first.glob("iter_*"))
    found = sorted(path.name for path in (folder / "stopped").iterdir())
    assert found == ["configs", "given_teacher.json", "lock", "rehearsed.json", first.name]

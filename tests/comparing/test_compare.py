"""A comparison of tiny models by the command: at equal time and iterations, within a budget, and repeated."""

import csv
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tiny
import yaml

from paddleseg.evaluation.metrics import compute_scores

KL = {"distill_loss": {"types": [{"type": "KLLoss"}], "coef": [3]}}
CHANNELS = {"distill_loss": {"types": [{"type": "SegChannelwiseLoss"}], "coef": [3]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    root = tiny.write_optic_disc(folder / "data")
    for role, width, iters in (("teacher", 8, 4), ("student", 4, 20)):
        model = {"type": "TinyNet", "num_classes": 2, "width": width}
        tiny.write_yaml(folder / f"{role}.yml", tiny.config(root, model, distill=False, iters=iters))
    plan = {"teacher": "teacher.yml", "student": "student.yml", "seeds": [0, 1]}
    plan["methods"] = {"student alone": None, "KL, 3": KL, "channels": CHANNELS}
    (folder / "plan.yml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return folder


def run(folder, repository, *flags, status=0):
    """Run `tools/compare.py` on the folder's plan; return what it printed."""
    path = [os.path.dirname(tiny.__file__), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, str(repository / "tools/compare.py"), "plan.yml", "--device", "cpu", *flags],
        cwd=folder,
        env={**os.environ, "PADDLESEG_TUNE": "0", "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows_of(folder):
    with open(folder / "runs.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_both_matches_stand_in_one_table_and_a_repeated_command_trains_nothing(folder, repository):
    flags = ["--match", "both", "--only", "KL, 3", "--out", "both"]
    first = run(folder, repository, *flags)
    rows = rows_of(folder / "both")
    assert [(row["method"], row["equal"]) for row in rows] == [
        ("teacher", ""),
        *[("student alone", "")] * 2,
        *[("KL, 3", "iterations")] * 2,
        *[("KL, 3", "time")] * 2,
    ]
    pace = json.loads((folder / "both" / "pace.json").read_text(encoding="utf-8"))
    equal_time = round(20 * pace["student alone"]["seconds"] / pace["KL, 3"]["seconds"])
    assert {row["iters"] for row in rows if row["equal"] == "time"} == {str(equal_time)}
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert (folder / "both" / "report.html").is_file()
    assert re.search(r"better|worse|not shown", first)
    assert "mIoU 0" in first
    second = run(folder, repository, *flags)
    assert "mIoU 0" not in second
    assert second[second.index("| method") :] == first[first.index("| method") :]


def test_the_confusion_matrices_of_the_images_give_the_score_of_the_training(folder):
    for seed in (0, 1):
        of_run = folder / "both" / f"student_alone_20_seed{seed}"
        stored = json.loads((of_run / "result.json").read_text(encoding="utf-8"))
        with np.load(of_run / "confusions.npz") as file:
            matrices = file["confusions"]
        assert len(matrices) == 5
        assert compute_scores(matrices.sum(axis=0)).miou == pytest.approx(stored["miou"], abs=1e-12)


def test_a_budget_leaves_the_best_method_and_the_plain_student(folder, repository):
    weights = str(folder / "both" / "teacher_seed0" / "best_model" / "model.pdparams")
    flags = ["--budget", "1h", "--seeds", "0", "--teacher_weights", weights, "--out", "within"]
    printed = run(folder, repository, *flags)
    rows = rows_of(folder / "within")
    budget = json.loads((folder / "within" / "budget.json").read_text(encoding="utf-8"))
    screened, final = budget["decisions"].values()
    assert set(screened) == {"KL, 3", "channels"}
    assert all(10 <= iters <= 20 for iters in [*screened.values(), *final.values()])
    scores = {}
    for name in ("KL_3", "channels"):
        (result,) = (folder / "within").glob(f"{name}_*_seed1/result.json")
        scores[json.loads(result.read_text(encoding="utf-8"))["training"]["method"]] = json.loads(
            result.read_text(encoding="utf-8")
        )["miou"]
    best = max(scores, key=scores.get)
    assert [row["method"] for row in rows] == ["student alone", best]
    assert f"after round 1 of 1 {best} remain" in printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--budget", "soon"], "must be a time such as 2h"),
        (
            ["--match", "time", "--jobs", "2"],
            "times can be compared only of trainings that run alone",
        ),
        (["--teacher_weights", "none.pdparams"], "teacher_weights none.pdparams: there is no such file"),
        (["--only", "KL"], "the plan has no method 'KL'"),
    ],
)
def test_wrong_flags_are_refused(folder, repository, flags, message):
    assert message in run(folder, repository, *flags, "--out", "refused", status=2)


def test_a_training_that_fails_is_told_by_its_last_line(folder, repository):
    printed = run(folder, repository, "--data", "nowhere", "--out", "failed", status=2)
    assert "teacher_seed0 ended with status 2: error: " in printed
    assert "nowhere" in printed

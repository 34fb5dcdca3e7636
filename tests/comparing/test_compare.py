"""A comparison of tiny models by the command: at equal time and iterations, within a budget, and repeated."""

import csv
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import distilling
import numpy as np
import paddle
import pytest
import tiny
import yaml
from filelock import FileLock

from paddleseg.comparing import compare
from paddleseg.comparing.plan import PLAIN, read_plan
from paddleseg.comparing.results import Training
from paddleseg.comparing.trainings import Trainings
from paddleseg.errors import UserError
from paddleseg.evaluation.metrics import compute_scores
from paddleseg.options import CompareOptions

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


def environment():
    """Return the changes of the environment with which trainings find the tests' models."""
    path = [os.path.dirname(tiny.__file__), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path), "PADDLESEG_TUNE": "0"}


@pytest.fixture
def in_folder(folder, monkeypatch):
    """Work in the folder, in an environment whose trainings find the tests' models."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)


@pytest.fixture(scope="module")
def printed(folder, repository):
    """What the command prints that compares one method at equal iterations and at equal time."""
    flags = ["--match", "both", "--only", "KL, 3", "--turns", "2", "--jobs", "2", "--out", "both"]
    done = subprocess.run(
        [sys.executable, str(repository / "tools/compare.py"), "plan.yml", *flags, "--device", "cpu"],
        cwd=folder,
        env={**os.environ, **environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Hidden:
    """A context in which a folder has another name."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        self.folder.rename(f"{self.folder}.hidden")

    def __exit__(self, *_):
        pathlib.Path(f"{self.folder}.hidden").rename(self.folder)


def teacher_weights(folder):
    """Return the path of the weights that the comparison of `printed` trained."""
    return str(folder / "both" / "teacher_seed0" / "best_model" / "model.pdparams")


def rows_of(folder):
    with open(folder / "runs.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


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
    assert "mIoU 0" in printed


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
            matrices = file["confusions"]
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
        (result,) = (folder / "within").glob(f"{name}_*_seed1/result.json")
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
def test_a_given_teacher_needs_a_model_alone_and_is_scored_as_the_student_is(folder):
    teacher = {"model": {"type": "TinyNet", "num_classes": 2, "width": 8}, "imports": ["tiny"]}
    (folder / "model.yml").write_text(yaml.safe_dump(teacher), encoding="utf-8")
    plan = {"teacher": "model.yml", "student": "student.yml", "seeds": [0]}
    (folder / "given.yml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    weights = teacher_weights(folder)
    options = CompareOptions(
        teacher_weights=weights, only=["student alone"], iters=2, out="given", device="cpu"
    )
    compare("given.yml", options)
    (of_run,) = [row for row in rows_of(folder / "both") if row["method"] == "teacher"]
    assert rows_of(folder / "given")[0]["miou"] == of_run["miou"]


@pytest.mark.usefixtures("in_folder", "printed")
def test_a_given_teacher_sees_images_as_in_its_training(folder):
    other = {"type": "Normalize", "mean": [0.2] * 3, "std": [0.9] * 3}
    student = yaml.safe_load((folder / "student.yml").read_text(encoding="utf-8"))
    for section in ("train_dataset", "val_dataset"):
        kept = [spec for spec in student[section]["transforms"] if spec["type"] != "Normalize"]
        student[section]["transforms"] = [*kept, other]
    tiny.write_yaml(folder / "other.yml", student)
    plan = {"teacher": "teacher.yml", "student": "other.yml", "seeds": [0]}
    tiny.write_yaml(folder / "normalised.yml", plan)
    weights = teacher_weights(folder)
    given = {"teacher_weights": weights, "only": ["student alone"], "iters": 2}
    compare("normalised.yml", CompareOptions(**given, out="normalised", device="cpu"))
    (of_run,) = [row for row in rows_of(folder / "both") if row["method"] == "teacher"]
    assert float(rows_of(folder / "normalised")[0]["miou"]) == pytest.approx(float(of_run["miou"]), abs=1e-3)


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


def write_onnx_plan(folder, outputs, **model):
    """Write a plan whose teacher is PyTorch's file in the tests' golden folder; return the plan's path."""
    file = pathlib.Path(__file__).parents[1] / "golden" / "torch_teacher.onnx"
    teacher = {"model": {"type": "ONNXTeacher", "path": str(file), "outputs": outputs, **model}}
    tiny.write_yaml(folder / "onnx_teacher.yml", teacher)
    feature = distilling.feature("body.0", teacher="deep", connector="auto")
    methods = {
        "student alone": None,
        "a map": {"distill": {"features": [feature]}, "imports": ["distilling"]},
    }
    plan = {"teacher": "onnx_teacher.yml", "student": "student.yml", "seeds": [0], "methods": methods}
    return tiny.write_yaml(folder / "onnx.yml", plan)


@pytest.mark.usefixtures("in_folder")
def test_an_onnx_file_teaches_without_weights(folder):
    plan = write_onnx_plan(folder, {"logits": "logits", "taps": {"deep": "body"}}, num_classes=2)
    compare(plan, CompareOptions(iters=2, out="onnx", device="cpu"))
    teacher, *students = rows_of(folder / "onnx")
    assert (teacher["method"], teacher["parameters"]) == ("teacher", "")
    assert float(teacher["miou"]) > 0
    assert [row["method"] for row in students] == ["student alone", "a map"]
    with pytest.raises(UserError, match="brings its own weights; leave out teacher_weights"):
        compare(plan, CompareOptions(teacher_weights="any.pdparams", out="onnx", device="cpu"))


@pytest.mark.skipif(paddle.__version__.startswith("2."), reason="exports of teachers need Paddle 3")
@pytest.mark.usefixtures("in_folder", "printed")
def test_a_training_takes_the_engine_that_is_named(folder):
    weights = teacher_weights(folder)
    given = {"teacher_weights": weights, "only": ["KL, 3"], "seeds": [0], "iters": 2, "turns": 1}
    compare(
        "plan.yml",
        CompareOptions(**given, match="time", teacher_engine="onnxruntime", out="engine", device="cpu"),
    )
    (log,) = (folder / "engine").glob("KL_3_*_seed0/train.log")
    assert "computed by onnxruntime" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("flag", ["teacher_engine", "conv_engine"])
@pytest.mark.usefixtures("in_folder", "printed")
def test_a_named_engine_makes_another_training(folder, flag):
    def marks(engine):
        weights = teacher_weights(folder)
        options = CompareOptions(**{flag: engine}, teacher_weights=weights, out="marks", device="cpu")
        trainings = Trainings(read_plan("plan.yml"), options)
        return [trainings.fingerprint(Training(method, 0, 20)) for method in ("student alone", "KL, 3")]

    (alone, distilled), (other_alone, other_distilled) = marks("auto"), marks("paddle")
    assert distilled != other_distilled
    assert (alone == other_alone) == (flag == "teacher_engine")


@pytest.mark.usefixtures("in_folder")
def test_a_teacher_of_features_alone_has_no_row(folder):
    plan = write_onnx_plan(folder, {"taps": {"deep": "body"}})
    compare(plan, CompareOptions(iters=2, out="taps", device="cpu"))
    assert [row["method"] for row in rows_of(folder / "taps")] == ["student alone", "a map"]
    methods = {"student alone": None, "KL": KL}
    tiny.write_yaml(
        folder / "logits.yml", {**yaml.safe_load(pathlib.Path(plan).read_text()), "methods": methods}
    )
    with pytest.raises(
        UserError, match="the dry run of KL .* it compares logits, and .* gives features alone"
    ):
        compare("logits.yml", CompareOptions(iters=2, out="logits", device="cpu"))


@pytest.mark.usefixtures("in_folder")
def test_a_teacher_of_another_size_has_no_row(folder, lines):
    onnx = pytest.importorskip("onnx")
    plan = write_onnx_plan(folder, {"logits": "logits", "taps": {"deep": "body"}}, num_classes=2)
    teacher = yaml.safe_load((folder / "onnx_teacher.yml").read_text(encoding="utf-8"))
    file = onnx.load(teacher["model"]["path"])
    for axis in file.graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.dim_value = 7
    onnx.save(file, folder / "small.onnx")
    teacher["model"]["path"] = str(folder / "small.onnx")
    tiny.write_yaml(folder / "onnx_teacher.yml", teacher)
    compare(plan, CompareOptions(iters=2, only=["student alone"], out="small", device="cpu"))
    assert [row["method"] for row in rows_of(folder / "small")] == ["student alone"]
    assert any("the teacher has no row in the table, since it cannot be evaluated" in line for line in lines)


@pytest.mark.usefixtures("in_folder")
def test_modules_of_imports_may_lie_beside_the_students_config(folder):
    apart = folder / "apart"
    apart.mkdir()
    (apart / "beside_student.py").write_text("import tiny\n", encoding="utf-8")
    student = yaml.safe_load((folder / "student.yml").read_text(encoding="utf-8"))
    tiny.write_yaml(apart / "student.yml", {**student, "imports": ["tiny", "beside_student"]})
    plan = {"teacher": "teacher.yml", "student": "apart/student.yml", "seeds": [0]}
    tiny.write_yaml(folder / "apart.yml", plan)
    compare("apart.yml", CompareOptions(only=["KLLoss"], iters=2, out="beside", device="cpu"))
    assert [row["method"] for row in rows_of(folder / "beside")] == ["teacher", "student alone", "KLLoss"]


@pytest.mark.usefixtures("in_folder", "printed")
def test_a_training_of_another_config_is_moved_aside(folder, lines):
    plan = {"teacher": "teacher.yml", "student": "student.yml", "seeds": [0]}
    tiny.write_yaml(folder / "edited.yml", plan)
    weights = teacher_weights(folder)
    options = CompareOptions(
        teacher_weights=weights, only=["student alone"], iters=2, out="edited", device="cpu"
    )
    compare("edited.yml", options)
    moved = folder / "elsewhere"
    moved.mkdir()
    for name in ("edited.yml", "teacher.yml", "student.yml"):
        shutil.copy(folder / name, moved)
    lines.clear()
    compare("elsewhere/edited.yml", options)
    assert not any("training;" in line for line in lines)  # equal configs in another folder
    student = yaml.safe_load((moved / "student.yml").read_text(encoding="utf-8"))
    tiny.write_yaml(moved / "student.yml", {**student, "batch_size": 3})
    compare("elsewhere/edited.yml", options)
    run = "edited/student_alone_2_seed0"
    assert any(f"engine or data set, now in {run}.replaced1" in line for line in lines)
    assert (folder / run / "result.json").is_file()
    tiny.write_yaml(moved / "student.yml", student)
    lines.clear()
    compare("elsewhere/edited.yml", options)
    assert not any("training;" in line for line in lines)  # the first one came back
    assert (folder / f"{run}.replaced2" / "result.json").is_file()


@pytest.mark.usefixtures("in_folder")
def test_two_comparisons_need_two_folders(tmp_path):
    with FileLock(tmp_path / "lock"), pytest.raises(UserError, match="another comparison runs there"):
        compare("plan.yml", CompareOptions(out=str(tmp_path), device="cpu"))


@pytest.mark.usefixtures("in_folder")
def test_a_training_that_fails_is_named_by_its_last_line():
    with pytest.raises(UserError, match="the dry run of student alone ended with status 2: error: .*nowhere"):
        compare("plan.yml", CompareOptions(data="nowhere", only=[PLAIN], out="failed", device="cpu"))


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

"""The trainings of a comparison: given teachers, engines, and what makes a training another one."""

import dataclasses
import json
import pathlib
import shutil

import distilling
import paddle
import pytest
import tiny
import yaml
from comparisons import KL, rows_of, teacher_weights

from paddleseg.comparing import compare
from paddleseg.comparing.plan import PLAIN, read_plan
from paddleseg.comparing.results import Training
from paddleseg.comparing.trainings import Trainings
from paddleseg.errors import UserError
from paddleseg.options import CompareOptions


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
    own = json.loads((folder / "both" / "teacher_seed0" / "result.json").read_text(encoding="utf-8"))
    assert float(rows_of(folder / "given")[0]["miou"]) == own["miou"]


@pytest.mark.usefixtures("in_folder", "printed")
def test_a_teacher_of_larger_images_is_scored_on_those_of_its_student(folder):
    teacher = yaml.safe_load((folder / "teacher.yml").read_text(encoding="utf-8"))
    resize = {"type": "Resize", "target_size": [40, 40]}
    for section in ("train_dataset", "val_dataset"):
        teacher[section]["transforms"] = [resize, *teacher[section]["transforms"]]
    tiny.write_yaml(folder / "larger.yml", teacher)
    tiny.write_yaml(folder / "sizes.yml", {"teacher": "larger.yml", "student": "student.yml", "seeds": [0]})
    only = {"only": ["student alone"], "iters": 2, "device": "cpu"}
    compare("sizes.yml", CompareOptions(**only, out="sizes"))
    run = folder / "sizes" / "teacher_seed0"
    weights = str(run / "best_model" / "model.pdparams")
    compare("sizes.yml", CompareOptions(**only, teacher_weights=weights, out="sizes_given"))
    of_training = json.loads((run / "result.json").read_text(encoding="utf-8"))["miou"]
    trained, given = (rows_of(folder / name)[0] for name in ("sizes", "sizes_given"))
    assert trained["miou"] == given["miou"] != str(of_training)
    assert float(trained["seconds"]) > 0


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


FAILS_LATER = """
import paddle
from paddleseg.cvlibs import manager
from paddleseg.errors import UserError


@manager.LOSSES.add_component
class FailsLater(paddle.nn.Layer):
    against = "label"

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, logits, label):
        self.calls += 1
        if self.calls > 15:
            raise UserError("it was called too often")
        return logits.mean()
"""


@pytest.mark.usefixtures("in_folder", "printed")
def test_after_a_training_that_fails_no_other_one_goes_on(folder):
    (folder / "fails_later.py").write_text(FAILS_LATER, encoding="utf-8")
    fails = {"imports": ["tiny", "fails_later"], "loss": {"types": [{"type": "FailsLater"}], "coef": [1]}}
    methods = {"fails": {**KL, **fails}, "next": KL, PLAIN: None}
    plan = {"teacher": "teacher.yml", "student": "student.yml", "seeds": [0], "methods": methods}
    tiny.write_yaml(folder / "fails.yml", plan)
    options = CompareOptions(teacher_weights=teacher_weights(folder), out="fails", device="cpu")
    with pytest.raises(UserError, match="fails_20_seed0 ended with status 2: error: it was called too often"):
        compare("fails.yml", options)
    assert (folder / "fails" / "student_alone_20_seed0" / "result.json").is_file()
    assert not (folder / "fails" / "next_20_seed0" / "result.json").exists()


@pytest.mark.usefixtures("in_folder", "printed")
def test_other_lists_of_files_make_another_training(folder):
    def mark():
        options = CompareOptions(teacher_weights=teacher_weights(folder), out="lists", device="cpu")
        return Trainings(read_plan("plan.yml"), options).fingerprint(Training(PLAIN, 0, 20))

    (path,) = folder.glob("data/**/train_list.txt")
    text, before = path.read_text(encoding="utf-8"), mark()
    try:
        path.write_text("".join(text.splitlines(keepends=True)[1:]), encoding="utf-8")
        assert mark() != before
    finally:
        path.write_text(text, encoding="utf-8")
    assert mark() == before


@pytest.mark.usefixtures("in_folder")
def test_a_training_that_fails_is_named_by_its_last_line(folder):
    for role in ("teacher", "student"):
        dic = yaml.safe_load((folder / f"{role}.yml").read_text(encoding="utf-8"))
        tiny.write_yaml(
            folder / f"lost_{role}.yml", {**dic, "model": {**dic["model"], "pretrained": "nowhere"}}
        )
    options = CompareOptions(only=[PLAIN], out="failed", device="cpu")
    tiny.write_yaml(folder / "failing.yml", {"teacher": "teacher.yml", "student": "lost_student.yml"})
    with pytest.raises(UserError, match="the dry run of student alone ended with status 2: error: .*nowhere"):
        compare("failing.yml", options)
    tiny.write_yaml(folder / "failing.yml", {"teacher": "lost_teacher.yml", "student": "student.yml"})
    with pytest.raises(UserError, match="teacher_seed0 ended with status 2: error: .*nowhere"):
        compare("failing.yml", options)


@pytest.mark.usefixtures("in_folder")
def test_a_data_set_that_does_not_exist_is_refused_before_any_training(folder):
    with pytest.raises(UserError, match="train_dataset: OpticDiscSeg: there is no data set in .*nowhere"):
        compare("plan.yml", CompareOptions(data="nowhere", only=[PLAIN], out="lost", device="cpu"))
    assert not list((folder / "lost").rglob("train.log"))


OF_ONE_SIZE = """
from paddleseg.cvlibs import manager
from tiny import TinyNet


@manager.MODELS.add_component
class OfOneSize(TinyNet):
    def forward(self, x):
        assert x.shape[2:] == [7, 7], "images must be 7 x 7"
        return super().forward(x)
"""


@pytest.mark.usefixtures("in_folder")
def test_a_teacher_of_paddle_that_refuses_the_students_images_has_no_row(folder, lines):
    (folder / "of_one_size.py").write_text(OF_ONE_SIZE, encoding="utf-8")
    model = {"type": "OfOneSize", "num_classes": 2, "width": 8}
    tiny.write_yaml(folder / "of_one_size.yml", {"model": model, "imports": ["tiny", "of_one_size"]})
    plan = {"teacher": "of_one_size.yml", "student": "student.yml", "seeds": [0]}
    tiny.write_yaml(folder / "one_size.yml", plan)
    weights = tiny.save_weights(folder / "one_size.pdparams", tiny.TinyNet(width=8))
    options = CompareOptions(teacher_weights=weights, only=[PLAIN], iters=2, out="one_size", device="cpu")
    compare("one_size.yml", options)
    assert [row["method"] for row in rows_of(folder / "one_size")] == [PLAIN]
    (warning,) = [line for line in lines if "the teacher has no row" in line]
    assert "images must be 7 x 7" in warning


WITHOUT_COUNT = """
from paddleseg.cvlibs import manager
from paddleseg.datasets import OpticDiscSeg


@manager.DATASETS.add_component
class WithoutCount:
    def __init__(self, dataset_root, transforms, mode="train"):
        self._samples = OpticDiscSeg(transforms, dataset_root, mode)
        self.transforms = self._samples.transforms
        self.file_list = self._samples.file_list

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, index):
        return self._samples[index]
"""


@pytest.mark.usefixtures("in_folder", "printed")
def test_a_data_set_need_not_say_how_many_classes_it_has(folder):
    (folder / "without_count.py").write_text(WITHOUT_COUNT, encoding="utf-8")
    student = yaml.safe_load((folder / "student.yml").read_text(encoding="utf-8"))
    student["imports"] = [*student["imports"], "without_count"]
    for section in ("train_dataset", "val_dataset"):
        student[section]["type"] = "WithoutCount"
    tiny.write_yaml(folder / "uncounted.yml", student)
    plan = {"teacher": "teacher.yml", "student": "uncounted.yml", "seeds": [0]}
    tiny.write_yaml(folder / "without_count.yml", plan)
    options = CompareOptions(
        teacher_weights=teacher_weights(folder), only=[PLAIN], iters=2, out="uncounted", device="cpu"
    )
    compare("without_count.yml", options)
    teacher, _ = rows_of(folder / "uncounted")
    assert teacher["miou"] == rows_of(folder / "both")[0]["miou"]


@pytest.mark.usefixtures("in_folder", "printed")
def test_what_cannot_be_written_is_named_and_the_rest_is_kept(folder):
    options = CompareOptions(
        teacher_weights=teacher_weights(folder),
        only=[PLAIN],
        iters=2,
        seeds=[0],
        out="no #1: x",
        device="cpu",
    )
    table = folder / options.out / "table.md"
    table.mkdir(parents=True)
    with pytest.raises(UserError, match="out no #1: x: .*Is a directory.*table.md'"):
        compare("plan.yml", options)
    table.rmdir()
    compare("plan.yml", options)
    assert table.is_file()


@pytest.mark.usefixtures("in_folder", "printed")
def test_a_path_may_have_signs_of_yaml(folder):
    weights = folder / "try #2: {x}" / "model.pdparams"
    weights.parent.mkdir()
    shutil.copyfile(teacher_weights(folder), weights)
    (folder / "data #2").symlink_to("data")
    options = CompareOptions(teacher_weights=str(weights), only=["KL, 3"], iters=2, seeds=[0], device="cpu")
    compare("plan.yml", dataclasses.replace(options, out="signs", data=str(folder / "data #2")))
    assert [row["method"] for row in rows_of(folder / "signs")] == ["teacher", PLAIN, "KL, 3"]

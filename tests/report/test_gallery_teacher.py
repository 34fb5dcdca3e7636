"""The teacher's picture next to those of the students, and the reason where there is none."""

import shutil

import numpy as np
import paddle
import pytest
import tiny
import yaml

from paddleseg.cvlibs import manager
from paddleseg.distill.teachers import TeacherOnly
from paddleseg.errors import UserError
from paddleseg.report.gallery import gallery, teacher_model
from paddleseg.report.runs import comparisons, read_runs

STUDENTS = ["photograph", "truth", "plain_0", "d"]


@pytest.fixture
def shown(trained, tmp_path):
    """A function from the teacher of a distilled run to the captions of an image and the teacher's notes."""

    def show(teacher):
        folder = shutil.copytree(trained / "distilled_0", tmp_path / "d", dirs_exist_ok=True)
        run = yaml.safe_load((folder / "run.yml").read_text(encoding="utf-8"))
        run["teachers"] = [{**run["teachers"][0], **teacher}]
        (folder / "run.yml").write_text(yaml.safe_dump(run), encoding="utf-8")
        result = gallery(comparisons(read_runs([trained / "plain_0", folder])), images=1, compared=100)
        assert result.missing is None
        (image,) = [*result.helped, *result.hurt]
        notes = [note for note in result.notes if note.startswith("The teacher is not shown: ")]
        return [caption.split()[0] for caption, _ in image.pictures], notes

    return show


@pytest.fixture
def onnx_model(repository):
    """The model of the config of a teacher that is an ONNX file."""
    pytest.importorskip("onnxruntime")
    path = str(repository / "tests" / "golden" / "torch_teacher.onnx")
    return {"type": "ONNXTeacher", "path": path, "num_classes": 2, "outputs": {"logits": "logits"}}


def test_a_teacher_whose_weights_are_gone_is_not_shown(shown):
    captions, notes = shown({"weights": "/gone/model.pdparams"})
    assert captions == STUDENTS
    assert notes == ["The teacher is not shown: its file, /gone/model.pdparams, is not on this machine."]


def test_a_random_teacher_is_not_shown(shown, tmp_path):
    captions, notes = shown({"weights": None})
    assert captions == STUDENTS
    assert notes == [f"The teacher is not shown: {tmp_path}/d/run.yml names no file of its weights."]


def test_a_teacher_that_is_an_onnx_file_is_shown(shown, onnx_model):
    captions, notes = shown({"config": {"model": onnx_model}, "weights": None})
    assert captions == ["photograph", "truth", "teacher", "plain_0", "d"]
    assert notes == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"path": "/gone/t.onnx"}, "its file, /gone/t.onnx, is not on this machine."),
        ({"path": __file__}, "{run}: teachers.0.config: model: {path} cannot be loaded by onnxruntime: "),
        ({"num_classes": 3}, "{run}: teachers.0.config: model: outputs.logits: {path} gives logits of shape"),
        ({"width": 2}, "1 problem in the config {run}: teachers.0.config: {run}: teachers.0.config: "),
    ],
    ids=["gone", "no ONNX", "other classes", "unknown key"],
)
def test_an_onnx_teacher_that_cannot_be_built_costs_its_own_picture_alone(
    shown, onnx_model, tmp_path, change, reason
):
    model = {**onnx_model, **change}
    captions, (note,) = shown({"config": {"model": model}, "weights": None})
    assert captions == STUDENTS
    reason = reason.format(run=tmp_path / "d" / "run.yml", path=model["path"])
    assert note.startswith(f"The teacher is not shown: {reason}")
    assert "config.yml" not in note  # the user has no such file


@pytest.mark.parametrize("side", [tiny.SIZE, 16])
def test_an_onnx_teacher_of_one_size_is_shown_where_the_images_are_of_it(shown, onnx_model, tmp_path, side):
    onnx = pytest.importorskip("onnx")
    file = onnx.load(onnx_model["path"])
    for axis in file.graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.dim_value = side
    path = str(tmp_path / "t.onnx")
    onnx.save(file, path)
    captions, notes = shown({"config": {"model": {**onnx_model, "path": path}}, "weights": None})
    if side == tiny.SIZE:
        assert (captions[2], notes) == ("teacher", [])
    else:
        assert captions == STUDENTS
        reason = f"{path}: it takes only images of N x 3 x 16 x 16, and these are 32 x 32"
        assert notes[0].startswith(f"The teacher is not shown: {reason}")


@manager.MODELS.add_component
class RecordingTeacher(TeacherOnly):
    """A teacher that is a file, which records how it is told that images are normalised."""

    def __init__(self, path: str):
        super().__init__(backbone=None)
        self.given = []

    def set_input_normalization(self, mean, std):
        self.given.append((mean, std))


def test_a_teacher_that_is_a_file_is_told_how_validation_images_are_normalised(made_up):
    def given(name, dataset):
        teachers = [{"config": {"model": {"type": "RecordingTeacher", "path": __file__}}}]
        (run,) = read_runs(
            [made_up(name, role="distill", teachers=teachers, config={"val_dataset": dataset})]
        )
        (comparison,) = comparisons([run])
        return teacher_model(comparison, run).given

    normalize = {"type": "Normalize", "mean": [0.4], "std": [0.3]}
    assert given("with", {"transforms": [normalize]}) == [((0.4,), (0.3,))]
    assert given("without", {"transforms": []}) == [((0.0,), (1 / 255,))]
    with pytest.raises(
        UserError, match="must know how images are normalised, and val_dataset does not state it"
    ):
        given("unknown", {})


def test_a_teacher_says_that_the_normalisation_of_its_images_is_unknown(made_up, tmp_path, lines):
    weights = tiny.save_weights(tmp_path / "model.pdparams", tiny.TinyNet())
    train = {"transforms": [{"type": "Normalize"}]}
    config = {"model": {"type": "TinyNet", "num_classes": 2}, "train_dataset": train}
    teachers = [{"config": config, "weights": weights}]
    (run,) = read_runs([made_up("run", role="distill", teachers=teachers, config={"val_dataset": {}})])
    (comparison,) = comparisons([run])
    teacher_model(comparison, run)
    assert any("val_dataset does not state how its images are normalised" in line for line in lines)


def test_a_teacher_of_another_normalisation_sees_its_own_images(made_up, tmp_path):
    def answer(name, dataset, images):
        section = {"type": "TinyNet", "num_classes": 2, "pretrained": weights}
        train = {"transforms": [{"type": "Normalize", "mean": [0.4], "std": [0.2]}]}
        config = {"model": section, "train_dataset": train}
        teachers = [{"config": config, "weights": weights}]
        (run,) = read_runs(
            [made_up(name, role="distill", teachers=teachers, config={"val_dataset": dataset})]
        )
        (comparison,) = comparisons([run])
        return teacher_model(comparison, run)(images)[0].numpy()

    weights = tiny.save_weights(tmp_path / "model.pdparams", tiny.TinyNet())
    pixels = paddle.rand([1, 3, 8, 8])
    half = answer("half", {"transforms": [{"type": "Normalize"}]}, (pixels - 0.5) / 0.5)
    none = answer("none", {"transforms": []}, pixels * 255)
    own = answer(
        "own", {"transforms": [{"type": "Normalize", "mean": [0.4], "std": [0.2]}]}, (pixels - 0.4) / 0.2
    )
    for converted in (half, none):
        np.testing.assert_allclose(converted, own, atol=1e-4)

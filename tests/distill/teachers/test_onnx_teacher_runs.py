"""A student under a teacher that was written in PyTorch, as the commands run it."""

import os
import pathlib
import re
import shutil
from types import SimpleNamespace

import distilling
import pytest
import tiny
import yaml

from paddleseg.commands.distill import teacher_configs
from paddleseg.core import runs
from paddleseg.cvlibs import Config
from paddleseg.distill.teachers import onnx_teacher
from paddleseg.distill.teachers.onnx_teacher import ONNXTeacher
from paddleseg.errors import UserError
from paddleseg.graphs.onnx_session import open_session
from paddleseg.monitoring.record import drawn_teachers

pytest.importorskip("onnxruntime")
GOLDEN = pathlib.Path(__file__).parents[2] / "golden"


@pytest.fixture
def written(tmp_path, root):
    """A function that writes the configs of a `TinyNet` and of PyTorch's model; returns their paths."""
    file = str(shutil.copy(GOLDEN / "torch_teacher.onnx", tmp_path))

    def write(name="run", path=file, features=("deep",), with_logits=True, **changes):
        logits = {"logits": "logits"} if with_logits else {}
        model = {
            "type": "ONNXTeacher",
            "path": path,
            "outputs": {**logits, "taps": {"deep": "body"}},
            "mean": [0.406, 0.456, 0.485],
            "std": [0.225, 0.224, 0.229],
            "channel_order": "bgr",
            **({"num_classes": 2} if with_logits else {}),
        }
        dic = tiny.config(root, **{"imports": ["tiny", "distilling"], **changes})
        taps = [distilling.feature("body.0", teacher=tap, connector="auto") for tap in features]
        dic["distill"] = {"features": taps}
        student = tiny.write_yaml(tmp_path / f"{name}.yml", dic)
        return student, tiny.write_yaml(tmp_path / "teacher.yml", {"model": model})

    return write


@pytest.fixture
def distill(tmp_path, written):
    """A function that distils these configs; returns the folder of the run."""

    def run(name="run", path=None, options=None, **changes):
        configs = written(name, **({} if path is None else {"path": path}), **changes)
        folder = str(tmp_path / name)
        tiny.distill(*configs, save_dir=folder, no_eval=True, teacher_engine="auto", **(options or {}))
        return folder

    return run


def logged(lines, name):
    return [float(found[1]) for line in lines if (found := re.search(rf"{name}: ([\d.]+)", line))]


def test_a_student_learns_from_it(distill, lines):
    distill(iters=12)
    kl, feature = logged(lines, "KLLoss"), logged(lines, "body.0_L2Loss")
    assert len(kl) == len(feature) == 12
    assert min(kl[-3:]) < kl[0]
    assert min(feature[-3:]) < feature[0]


def test_a_run_goes_on_under_the_same_file_wherever_it_lies(distill, tmp_path, lines):
    whole = distill("whole")
    moved = str(shutil.move(tmp_path / "torch_teacher.onnx", tmp_path / "moved.onnx"))
    again = {"resume_model": os.path.join(whole, "iter_2")}
    rest = distill("rest", moved, again)
    last = [tiny.flat_arrays(os.path.join(run, "iter_4", "model.pdparams")) for run in (whole, rest)]
    assert all((value == last[1][key]).all() for key, value in last[0].items())
    content = pathlib.Path(moved).read_bytes()
    pathlib.Path(moved).write_bytes(content.replace(b"pytorch", b"PyTorch", 1))
    with pytest.raises(UserError, match=r"teacher 0: weights \(SHA-256\): "):
        distill("other", moved, again)


def test_its_taps_are_listed(written):
    student, teacher = written()
    table = runs.taps_table(Config(student), teacher_configs([teacher], None))
    assert re.search(r"\[1, 24, 8, 8\] +deep\n", table + "\n")


def test_a_tap_that_it_does_not_declare_is_refused(distill):
    with pytest.raises(UserError, match=r"distill.features.0.teacher: ONNXTeacher has no sublayer 'body'"):
        distill(features=["body"])


def normalize(root, **arguments):
    """Return what a config changes for other transforms of the training set."""
    transforms = [{"type": "Normalize", **arguments}] if arguments else []
    return {"train_dataset": {"type": "OpticDiscSeg", "dataset_root": root, "transforms": transforms}}


def test_how_the_student_normalizes_changes_nothing_for_the_teacher(distill, root, monkeypatch):
    seen = []

    class Recording:
        """A session of onnxruntime that records its images."""

        def __init__(self, path, **more):
            self._session = open_session(path, **more)
            self.get_inputs, self.get_outputs = self._session.get_inputs, self._session.get_outputs

        def run(self, names, inputs):
            seen.extend(inputs.values())
            return self._session.run(names, inputs)

    monkeypatch.setattr(onnx_teacher, "open_session", Recording)
    for i, changes in enumerate([{"mean": [0.5], "std": [0.5]}, {"mean": [0.1, 0.2, 0.3], "std": [0.7]}, {}]):
        distill(f"run{i}", options={"iters": 1}, **normalize(root, **changes))
    first, *others = seen[0], seen[len(seen) // 3], seen[2 * len(seen) // 3]
    for other in others:
        assert abs(first - other).max() < 2e-5
    assert abs(first).max() > 1


def test_what_cannot_be_undone_is_refused(distill, root, tmp_path):
    images = os.path.join(root, "JPEGImages")
    unlabeled = {
        "type": "UnlabeledImages",
        "dataset_root": images,
        "transforms": [{"type": "Normalize", "mean": [0.1]}],
    }
    message = (
        r"unlabeled_dataset.transforms.0: images are normalised differently at .*train_dataset.transforms.1"
    )
    with pytest.raises(UserError, match=message):
        distill(unlabeled_dataset=unlabeled)


def test_a_teacher_of_one_size_is_left_out_of_the_pictures():
    model = ONNXTeacher(str(GOLDEN / "torch_teacher.onnx"), 2, {"logits": "logits"})
    step = SimpleNamespace(teachers=[SimpleNamespace(model=model)])
    assert drawn_teachers(step) == {"teacher": model}
    model.of_any_size = False
    assert drawn_teachers(step) == {}


def weights(folder, iteration=4):
    return tiny.flat_arrays(os.path.join(folder, f"iter_{iteration}", "model.pdparams"))


def same(one, other):
    return all((value == other[key]).all() for key, value in one.items())


def test_a_teacher_without_logits_teaches_features(distill, lines, tmp_path):
    alone = {"with_logits": False, "distill_loss": None}
    folder = distill("run", **alone)
    assert same(weights(folder), weights(distill("with", distill_loss=None)))
    assert len(logged(lines, "body.0_L2Loss")) == 2 * 4
    cached = {"teacher_cache": str(tmp_path / "cache"), "cache_views": 1, "cache_dtype": "float32"}
    first = distill("first", options=cached, **alone)
    assert same(weights(first), weights(distill("second", options=cached, **alone)))
    assert any("16 of 16 rows (100.0%)" in line for line in lines)


def test_logits_that_it_does_not_give_are_refused(distill):
    message = (
        r"run.yml:\d+: distill_loss: .* teacher 0 \(.*teacher.yml:\d+: model.outputs\) gives features alone"
    )
    with pytest.raises(UserError, match=message):
        distill(with_logits=False)


@pytest.fixture
def two_teachers(tmp_path, written):
    """Distil under a `TinyNet`, which gives logits, and the file without logits, which gives features."""

    def run(name, teacher_index=1, **changes):
        student, of_features = written(name, with_logits=False, features=(), **changes)
        of_logits = distilling.write_teacher(tmp_path, {"type": "TinyNet", "num_classes": 2}, "tiny")
        feature = distilling.feature("body.0", teacher="deep", connector="auto", teacher_index=teacher_index)
        with open(student, encoding="utf-8") as file:
            dic = yaml.safe_load(file)
        dic["distill"]["features"] = [] if teacher_index is None else [feature]
        tiny.write_yaml(student, dic)
        folder = str(tmp_path / name)
        tiny.distill(student, [of_logits, of_features], save_dir=folder, no_eval=True)
        return folder

    return run


def test_one_teacher_gives_logits_and_another_features(two_teachers, lines):
    two_teachers("run")
    assert len(logged(lines, "KLLoss")) == len(logged(lines, "body.0_L2Loss")) == 4
    with pytest.raises(UserError, match=r"teacher 1 \(.*model.outputs\) has no use: it gives features alone"):
        two_teachers("idle", teacher_index=None)

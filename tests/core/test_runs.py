"""Whole runs on a tiny set, as the commands make them, within this process."""

import json
import os
import re

import distilling
import numpy as np
import paddle
import pytest
import tiny
import tutorial_model  # noqa: F401  registers TutorialModel and Digits
import yaml

from paddleseg.datasets import OpticDiscSeg
from paddleseg.errors import UserError
from paddleseg.evaluation import evaluator as core_evaluate
from paddleseg.training import evaluating
from paddleseg.utils import progress_bar


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny optic-disc set."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("data"))


def weights(folder):
    return paddle.load(os.path.join(folder, "model.pdparams"), return_numpy=True)


def train(tmp_path, dic, name="run", **flags):
    """Train a config; return the folder of the run."""
    folder = str(tmp_path / name)
    path = tiny.write_yaml(tmp_path / f"{name}.yml", dic)
    tiny.train(config=path, save_dir=folder, **flags)
    return folder


def distill(tmp_path, student, teacher, features=(), name="distilled", distill_file=None, **flags):
    """Distil one config into another; return the folder of the run."""
    path = tiny.write_yaml(tmp_path / "teacher.yml", teacher)
    distill_file = distill_file or tiny.write_distill_file(tmp_path / "d.py", list(features))
    return distilling.distill(tmp_path, student, path, name, distill_config=distill_file, **flags)


@pytest.fixture
def teacher(tmp_path):
    """A teacher's config with saved weights: its model section alone."""
    paddle.seed(9)
    path = tiny.save_weights(tmp_path / "teacher.pdparams", tiny.TinyNet())
    return {"model": {"type": "TinyNet", "num_classes": 2, "pretrained": path}, "imports": ["tiny"]}


def test_training_logs_evaluates_and_saves(tmp_path, root, lines):
    folder = train(tmp_path, tiny.config(root), use_vdl=True, log_iters=2)
    trained = [line for line in lines if line.startswith("[TRAIN]")]
    assert [re.search(r"iter: (\d+)/4", line)[1] for line in trained] == ["2", "4"]
    assert "loss: " in trained[0]
    assert "CrossEntropyLoss: " in trained[0]
    assert sum("#Images: 5 mIoU" in line for line in lines) == 2
    kept = sorted(name for name in os.listdir(folder) if not name.startswith("vdl"))
    assert kept == ["best_model", "history.jsonl", "iter_2", "iter_4", "run.yml"]
    assert any(name.startswith("vdl") for name in os.listdir(folder))
    with open(os.path.join(folder, "best_model", "state.json"), encoding="utf-8") as file:
        best = json.load(file)
    assert best["best_iter"] in (2, 4)
    assert 0 < best["best_miou"] <= 1
    assert np.mean(best["best_class_iou"]) == pytest.approx(best["best_miou"])


def test_a_model_learns_what_is_easy_and_val_confirms_it(tmp_path, root, lines):
    folder = train(tmp_path, tiny.config(root, iters=60), save_interval=60, log_iters=60)
    with open(os.path.join(folder, "best_model", "state.json"), encoding="utf-8") as file:
        best = json.load(file)
    assert best["best_miou"] > 0.9
    path = os.path.join(folder, "best_model", "model.pdparams")
    scores = tiny.evaluate(config=str(tmp_path / "run.yml"), model_path=path)
    assert scores.miou == pytest.approx(best["best_miou"], abs=1e-12)


@pytest.mark.parametrize(("section", "expected"), [(None, None), ({"batch_size": 3}, 3)])
def test_an_evaluation_has_a_batch_size_of_its_own(tmp_path, root, lines, monkeypatch, section, expected):
    seen = []

    def evaluate(*arguments, config, **more):
        seen.append(config.batch_size)
        return core_evaluate.evaluate(*arguments, config=config, **more)

    monkeypatch.setattr(evaluating, "evaluate_model", evaluate)
    dic = tiny.config(root, iters=1, **({"test_config": section} if section else {}))
    folder = train(tmp_path, dic, save_interval=1)
    path = os.path.join(folder, "iter_1", "model.pdparams")
    tiny.evaluate(config=str(tmp_path / "run.yml"), model_path=path)
    assert seen == [expected] * 2


def test_no_eval_does_not_evaluate(tmp_path, root, lines):
    folder = train(tmp_path, tiny.config(root), no_eval=True)
    assert sorted(os.listdir(folder)) == ["history.jsonl", "iter_2", "iter_4", "run.yml"]
    assert not any("[EVAL]" in line for line in lines)
    assert lines[-1] == f"the training has ended, without evaluations; its weights are in {folder}/iter_4"


def test_classes_with_names_are_logged_by_them(tmp_path, root, lines, monkeypatch):
    train(tmp_path, tiny.config(root))
    assert re.fullmatch(r"\[EVAL\] IoU by name: background 0\.\d{4}, optic disc 0\.\d{4}", lines[-2])
    monkeypatch.setattr(OpticDiscSeg, "CLASS_NAMES", ())
    train(tmp_path, tiny.config(root), "nameless")
    assert "by name" not in lines[-2]


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_slow_evaluation_says_every_so_often_how_far_it_is(tmp_path, root, lines, monkeypatch, seconds):
    monkeypatch.setattr(progress_bar, "SECONDS_BETWEEN_LINES", seconds)
    train(tmp_path, tiny.config(root, test_config={"batch_size": 1}))
    told = [line.partition(",")[0] for line in lines if line.startswith("evaluating")]
    assert told == ([] if seconds else [f"evaluating: {i}/5" for i in (1, 2, 3, 4)] * 2)
    lines.clear()
    train(tmp_path, tiny.config(root, test_config={"batch_size": 2}), "two")
    told = [line.partition(",")[0] for line in lines if line.startswith("evaluating")]
    assert told == ([] if seconds else [f"evaluating: {i}/5" for i in (2, 4)] * 2)


def test_the_number_of_workers_changes_nothing(tmp_path, root, lines):
    a, b = (train(tmp_path, tiny.config(root), f"w{n}", num_workers=n) for n in (0, 2))
    a, b = (weights(os.path.join(folder, "iter_4")) for folder in (a, b))
    assert all((a[key] == b[key]).all() for key in a)


def test_another_seed_is_another_run_and_the_same_seed_the_same(tmp_path, root, lines):
    folders = [train(tmp_path, tiny.config(root), f"s{i}", seed=seed) for i, seed in enumerate((0, 0, 1))]
    a, b, c = (weights(os.path.join(folder, "iter_4"))["body.0.weight"] for folder in folders)
    assert (a == b).all()
    assert (a != c).any()


def test_a_resumed_run_ends_where_the_one_without_a_stop_ends(tmp_path, root, lines):
    whole = train(tmp_path, tiny.config(root), "whole")
    resumed = train(tmp_path, tiny.config(root), "rest", resume_model=os.path.join(whole, "iter_2"))
    assert sorted(n for n in os.listdir(resumed) if n.startswith("iter")) == ["iter_4"]
    a, b = (weights(os.path.join(folder, "iter_4")) for folder in (whole, resumed))
    assert all((a[key] == b[key]).all() for key in a)


def test_a_run_that_is_over_is_not_resumed(tmp_path, root, lines):
    folder = train(tmp_path, tiny.config(root))
    with pytest.raises(UserError, match="at iteration 4 of 4 already"):
        train(tmp_path, tiny.config(root), resume_model=os.path.join(folder, "iter_4"))


def test_flags_win_over_the_config(tmp_path, root, lines):
    train(tmp_path, tiny.config(root), iters=2, batch_size=2, learning_rate=0.125, opts=["iters=9"])
    line = next(line for line in lines if line.startswith("[TRAIN]"))
    assert "iter: 1/2," in line
    assert "lr: 0.125000" in line


def test_do_eval_without_anything_to_evaluate_on_is_refused(tmp_path, root):
    dic = tiny.config(root)
    del dic["val_dataset"]
    with pytest.raises(UserError, match="the key 'val_dataset' is missing"):
        train(tmp_path, dic, do_eval=True)


def test_more_samples_in_a_batch_than_there_are_is_refused(tmp_path, root, lines):
    with pytest.raises(UserError, match="8 samples, fewer than one batch needs"):
        train(tmp_path, tiny.config(root), batch_size=9)


@pytest.mark.parametrize("optimizer", ["SGD", "Momentum", "Adam", "AdamW"])
def test_every_optimizer_trains(tmp_path, root, lines, optimizer):
    before = train(tmp_path, tiny.config(root), "zero", learning_rate=0.0, iters=2, no_eval=True)
    dic = tiny.config(root, optimizer={"type": optimizer, "weight_decay": 0.01})
    after = train(tmp_path, dic, iters=2, no_eval=True)
    a, b = (weights(os.path.join(folder, "iter_2"))["heads.0.weight"] for folder in (before, after))
    assert np.isfinite(b).all()
    assert (a != b).all()


def test_distillation_logs_each_loss_apart_and_saves_the_student_alone(tmp_path, root, teacher, lines):
    features = [tiny.feature(0), tiny.feature(1, "L2Loss", 0.5)]
    folder = distill(tmp_path, tiny.config(root), teacher, features)
    line = next(line for line in lines if line.startswith("[TRAIN]"))
    names = re.findall(r"(\w+): \d+\.\d{4}", line)
    losses = ["loss", "CrossEntropyLoss", "KLLoss", "hidden_0_SegChannelwiseLoss", "hidden_1_L2Loss"]
    assert names[: len(losses)] == losses
    values = {name: float(value) for name, value in re.findall(r"(\w+): (\d+\.\d{4})", line)}
    assert values["loss"] == pytest.approx(sum(values[name] for name in losses[1:]), abs=4e-4)
    keys = set(weights(os.path.join(folder, "iter_4"))) - {"StructuredToParameterName@@"}
    assert keys == set(tiny.TinyNet().state_dict())


def test_the_students_start_is_that_of_plain_training(tmp_path, root, teacher, lines):
    plain = train(tmp_path, tiny.config(root), learning_rate=0.0)
    under = distill(tmp_path, tiny.config(root), teacher, learning_rate=0.0)
    a, b = (weights(os.path.join(folder, "iter_2")) for folder in (plain, under))
    assert (a["body.0.weight"] == b["body.0.weight"]).all()


def test_a_teacher_pulls_the_student_towards_it(tmp_path, root, teacher, lines):
    student = tiny.config(root, loss={"types": [{"type": "CrossEntropyLoss"}], "coef": [0]}, iters=40)
    distill(tmp_path, student, teacher, save_interval=40)
    values = [float(re.search(r"KLLoss: (\S+),", line)[1]) for line in lines if "[TRAIN]" in line]
    assert np.mean(values[-5:]) < 0.2 * np.mean(values[:5])


def test_distillation_by_the_tutorials_own_model_as_a_users_component(tmp_path, lines):
    """Its conv2 by layer name and its reshape_out by tensor; ten numbers an image instead of a map."""
    student = {
        "imports": ["tutorial_model"],
        "batch_size": 4,
        "iters": 2,
        "model": {"type": "TutorialModel"},
        "train_dataset": {"type": "Digits"},
        "optimizer": {"type": "SGD"},
        "lr_scheduler": {"type": "PolynomialDecay", "learning_rate": 0.01},
        "loss": {"types": [{"type": "CrossEntropyLoss"}], "coef": [1]},
        "distill_loss": {"types": [{"type": "KLLoss"}], "coef": [3]},
    }
    path = tiny.save_weights(tmp_path / "t.pdparams", tutorial_model.TutorialModel())
    teacher = {"model": {"type": "TutorialModel", "pretrained": path}, "imports": ["tutorial_model"]}
    names = {"layer": "conv2", "tensor": "reshape_out"}
    features = [tiny.feature(0), tiny.feature(1), tiny.feature(1, "RKDLoss")]
    distill_file = tiny.write_distill_file(tmp_path / "d.py", features, **names)
    distill(tmp_path, student, teacher, distill_file=distill_file)
    line = next(line for line in lines if line.startswith("[TRAIN]"))
    for name in ("CrossEntropyLoss", "KLLoss", "hidden_0_SegChannelwiseLoss", "hidden_1_RKDLoss"):
        assert f"{name}: " in line


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pretrained": None}, "model.pretrained is empty, so the teacher would be random"),
        ({"num_classes": 3, "pretrained": "x"}, "no file of weights at x"),
        ({"typ": 1}, "unknown key 'typ' of TinyNet"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(tmp_path, root, teacher, change, told):
    with pytest.raises(UserError, match=told):
        distill(tmp_path, tiny.config(root), {**teacher, "model": {**teacher["model"], **change}})


def test_a_random_teacher_may_be_insisted_on(tmp_path, root, teacher, lines):
    model = {"type": "TinyNet", "num_classes": 2}
    distill(tmp_path, tiny.config(root), {"model": model}, allow_random_teacher=True, iters=1)


def test_the_teachers_other_sections_are_left_alone(tmp_path, root, teacher, lines):
    distill(tmp_path, tiny.config(root), {**teacher, "loss": {"types": "whatever"}}, iters=1)


def test_teacher_opts_are_the_teachers_and_opts_the_students(tmp_path, root, teacher, lines):
    pretrained = teacher["model"].pop("pretrained")
    distill(
        tmp_path,
        tiny.config(root, iters=9),
        teacher,
        teacher_opts=[[f"model.pretrained={pretrained}"]],
        opts=["iters=1"],
    )
    assert sum("[TRAIN]" in line for line in lines) == 1


def test_a_teacher_that_changes_nothing_is_warned_of(tmp_path, root, teacher, lines):
    distill(tmp_path, tiny.config(root, distill=False), teacher, iters=1)
    assert any("the teacher has no effect" in line for line in lines)


def test_validation_without_weights_is_refused(tmp_path, root):
    path = tiny.write_yaml(tmp_path / "c.yml", tiny.config(root))
    with pytest.raises(UserError, match="give model_path, or set model.pretrained"):
        tiny.evaluate(config=path, model_path=None)


def test_gpu_where_there_is_none_is_refused(tmp_path, root):
    if paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="device gpu: Paddle .* use device cpu or auto"):
        train(tmp_path, tiny.config(root), device="gpu")


def test_a_run_that_is_resumed_elsewhere_takes_its_best_along(tmp_path, root, lines):
    whole = train(tmp_path, tiny.config(root), "whole")
    elsewhere = train(tmp_path, tiny.config(root), "rest", resume_model=os.path.join(whole, "iter_2"))
    a, b = (weights(os.path.join(folder, "best_model")) for folder in (whole, elsewhere))
    assert all((a[key] == b[key]).all() for key in a)


def test_imports_of_a_base_lie_beside_the_base(tmp_path, root, lines):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "beside_base.py").write_text("import tiny", encoding="utf-8")
    tiny.write_yaml(tmp_path / "base" / "base.yml", tiny.config(root, imports=["beside_base"]))
    folder = train(tmp_path, {"_base_": "base/base.yml", "iters": 1})
    assert os.path.isdir(os.path.join(folder, "iter_1"))


def test_val_takes_paddlesegs_flags_and_they_win_over_test_config(tmp_path, root, lines):
    paddle.seed(3)
    weights_path = tiny.save_weights(tmp_path / "w.pdparams", tiny.TinyNet())
    slide = {"is_slide": True, "crop_size": [12, 20], "stride": [10, 20]}

    def miou(section=None, **flags):
        dic = tiny.config(root, **({"test_config": section} if section else {}))
        path = tiny.write_yaml(tmp_path / "val.yml", dic)
        return tiny.evaluate(config=path, model_path=weights_path, **flags)

    whole, windows = miou(), miou(slide)
    assert windows.miou != whole.miou
    assert miou(**slide).miou == windows.miou
    assert miou({"is_slide": True, "crop_size": [9, 9], "stride": [9, 9]}, **slide).miou == windows.miou
    assert miou(slide, is_slide=True, crop_size=[32, 32], stride=[32, 32]).miou == whole.miou
    flipped = miou({"aug_eval": True, "flip_horizontal": True})
    assert flipped.miou != whole.miou
    assert miou({"aug_eval": True, "flip_horizontal": True}, aug_eval=True).miou == whole.miou
    assert miou(aug_eval=True, scales=[0.5, 1.5], flip_vertical=True).miou not in (whole.miou, flipped.miou)
    assert miou({"boundary_iou": True}, auc_roc=True).mean_boundary_iou > 0
    assert any("Auc_roc: 0." in line and "Boundary mIoU: 0." in line for line in lines)


def test_test_config_is_used_while_training_too(tmp_path, root, lines):
    section = {"aug_eval": True, "scales": 0.5, "auc_roc": True}
    folder = train(tmp_path, tiny.config(root, test_config=section), save_interval=4)
    (line,) = [line for line in lines if "#Images" in line]
    assert "Auc_roc: 0." in line
    path = os.path.join(folder, "best_model", "model.pdparams")
    scores = tiny.evaluate(config=str(tmp_path / "run.yml"), model_path=path)
    assert f"mIoU: {scores.miou:.4f} " in line
    other = tiny.write_yaml(tmp_path / "other.yml", tiny.config(root))
    assert tiny.evaluate(config=other, model_path=path).miou != scores.miou


def test_another_layout_is_refused_before_anything_is_written(tmp_path, root):
    with pytest.raises(UserError, match="data_format NHWC: the models compute in NCHW alone"):
        train(tmp_path, tiny.config(root, distill=False), data_format="NHWC")
    assert not (tmp_path / "run").exists()


def test_a_run_file_names_a_distill_file_only_where_it_declares_something(tmp_path, root, teacher, lines):
    features = {"none": [], "one": [tiny.feature()]}
    told = {}
    for name, declared in features.items():
        folder = distill(tmp_path, tiny.config(root), teacher, declared, name, no_eval=True)
        with open(os.path.join(folder, "run.yml"), encoding="utf-8") as file:
            told[name] = yaml.safe_load(file).get("distill_config")
    assert told == {"none": None, "one": str(tmp_path / "d.py")}
    config = str(tmp_path / "teacher.yml")
    assert sum(line == f"teacher 0: TinyNet of {config}" for line in lines) == 2

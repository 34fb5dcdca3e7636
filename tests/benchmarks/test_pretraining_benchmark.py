"""The benchmark of pretraining: a tiny student, from random weights and pretrained, and the table."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import timing
import tiny

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def write_configs(folder, root):
    """Write the configs of student, pretraining and teacher."""
    backbone = {"type": "MobileNetV2_x0_25"}
    model = {"type": "DeepLabV3P", "num_classes": 2, "aspp_out_channels": 8, "backbone": backbone}
    student = tiny.config(root, model, distill=False)
    tiny.write_yaml(folder / "student.yml", student)
    recipe = {key: student[key] for key in ("model", "optimizer", "lr_scheduler", "batch_size", "imports")}
    student_map = {"output_of": "backbone", "index": 1}
    feature = {"student": student_map, "teacher": "deep", "loss": {"type": "FitNetLoss"}}
    recipe["distill"] = {"unlabeled_share": 1, "features": [feature]}
    transforms = [{"type": "Normalize"}]
    recipe["unlabeled_dataset"] = {"type": "UnlabeledImages", "dataset_root": root, "transforms": transforms}
    tiny.write_yaml(folder / "recipe.yml", {**recipe, "iters": 4})
    teacher = {"type": "ONNXTeacher", "path": "elsewhere.onnx", "outputs": {"taps": {"deep": "body"}}}
    tiny.write_yaml(folder / "teacher.yml", {"model": teacher})


def test_both_students_get_the_same_time(tmp_path, benchmarks):
    pytest.importorskip("onnxruntime")
    root = tiny.write_optic_disc(tmp_path / "data")
    shutil.copytree(os.path.join(root, "JPEGImages"), os.path.join(root, "images", "train"))
    write_configs(tmp_path, root)
    (tmp_path / "out").mkdir()
    seconds = {"from random weights": [4.0, 2.0, 1.0], "pretrained": [1.0, 3.0, 9.0]}
    timing.write_json(str(tmp_path / "out" / "steps.json"), {}, seconds)
    command = [sys.executable, os.path.join(benchmarks, "pretraining.py"), "--data", root, "--out", "out"]
    command += ["--student", "student.yml", "--recipe", "recipe.yml", "--teacher_config", "teacher.yml"]
    command += ["--teacher", str(GOLDEN / "torch_teacher.onnx"), "--seeds", "0"]
    command += ["--iters", "8", "--pretraining_iters", "3"]
    path = os.pathsep.join([os.path.dirname(tiny.__file__), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PADDLESEG_TUNE": "0", "PYTHONPATH": path}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a step of pretraining costs 1.500 steps with labels; 4 of these follow it" in done.stdout
    scores = {}
    for name, iters in (("alone", 8), ("pretrained", 4)):
        state = tmp_path / "out" / f"{name}_seed0" / "best_model" / "state.json"
        best = json.loads(state.read_text(encoding="utf-8"))
        assert best["best_iter"] == iters
        scores[name] = f"{best['best_miou']:.4f}"
    first = tmp_path / "out" / "pretraining_seed0" / "iter_3" / "backbone.pdparams"
    log = (tmp_path / "out" / "pretrained_seed0" / "train.log").read_text(encoding="utf-8")
    assert f"weights loaded from {first.relative_to(tmp_path)}" in log
    assert done.stdout.splitlines()[-2:] == [
        f"| from random weights | 8 with labels | 1 | {scores['alone']} | {scores['alone']} |",
        f"| pretrained | 3 without labels, 4 with labels | 1 | {scores['pretrained']} | "
        f"{scores['pretrained']} |",
    ]

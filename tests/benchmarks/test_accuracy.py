"""The accuracy benchmark: its sums by hand, and a tiny plan run twice."""

import csv
import json
import os
import subprocess
import sys

import accuracy
import accuracy_report
import numpy as np
import pytest
import tiny
import yaml

from paddleseg.errors import UserError

PLAIN = accuracy.PLAIN


def result(method, seed, miou):
    return {
        "method": method,
        "seed": seed,
        "miou": miou,
        "class_iou": [miou, miou],
        "parameters": 2_500_000,
        "seconds": 3.0,
    }


def test_the_table_and_the_files(tmp_path):
    results = [result("teacher", 0, 0.41)]
    results += [result(PLAIN, seed, miou) for seed, miou in enumerate((0.30, 0.32, 0.31))]
    results += [result("KLLoss", seed, miou) for seed, miou in enumerate((0.36, 0.37, 0.35))]
    text = accuracy_report.write(str(tmp_path), results, PLAIN)
    assert text.splitlines()[2:] == [
        "| teacher | 1 | 0.4100 |  |  | 2.50 M |",
        "| student alone | 3 | 0.3100 ± 0.0100 |  |  | 2.50 M |",
        "| KLLoss | 3 | 0.3600 ± 0.0100 | +0.0500 | 50% | 2.50 M |",
    ]
    with open(tmp_path / "results.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["miou"]) for row in rows] == [r["miou"] for r in results]
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_a_plan_without_a_plain_student_is_refused(tmp_path):
    path = tmp_path / "plan.yml"
    path.write_text("teacher: t.yml\nstudent: s.yml\nseeds: [0]\nmethods: {KLLoss: {}}\n", encoding="utf-8")
    with pytest.raises(UserError, match="lack 'student alone'"):
        accuracy.read_plan(str(path))


def test_an_unknown_method_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'KLLoss'"):
        accuracy.chosen(["KLoss"], {PLAIN: {}, "KLLoss": {}})


def test_a_plan_runs_once_and_is_then_only_reported(tmp_path, benchmarks):
    root = tiny.write_optic_disc(tmp_path / "data")
    for role, width in (("teacher", 8), ("student", 4)):
        model = {"type": "TinyNet", "num_classes": 2, "width": width}
        dic = tiny.config(root, model, distill=False, iters=2)
        tiny.write_yaml(tmp_path / f"{role}.yml", dic)
    kl = {"distill_loss": {"types": [{"type": "KLLoss"}], "coef": [3]}}
    plan = {
        "teacher": "teacher.yml",
        "student": "student.yml",
        "seeds": [0],
        "methods": {PLAIN: None, "KL, 3": kl},
    }
    (tmp_path / "plan.yml").write_text(yaml.safe_dump(plan), encoding="utf-8")

    command = [sys.executable, os.path.join(benchmarks, "accuracy.py"), "--plan", "plan.yml", "--data", root]
    command += ["--out", "out", "--device", "cpu"]
    environment = {
        **os.environ,
        "PADDLESEG_TUNE": "0",  # its log line has the time
        "PYTHONPATH": os.pathsep.join([os.path.dirname(tiny.__file__), os.environ.get("PYTHONPATH", "")]),
    }

    def run():
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    first, second = run(), run()
    assert "KL, 3, seed 0: mIoU" in first
    assert "seed 0: mIoU" not in second
    assert second in first
    with open(tmp_path / "out" / "KL_3_seed0" / "result.json", encoding="utf-8") as file:
        stored = json.load(file)
    assert 0 < stored["miou"] <= 1
    assert stored["parameters"] == 3 * 4 * 9 + 4 + 2 * 4 + 4 * 2 + 2
    assert np.mean(stored["class_iou"]) == pytest.approx(stored["miou"])

"""A profile: its trace, its tables and its refusals."""

import json
import os

import paddle
import pytest
import tiny
from refusal import refusal
from running import config, train

from paddleseg import onednn
from paddleseg.monitoring.profile import report
from paddleseg.utils import phases


def event(name, cat, dur):
    return {"name": f"{name}[{dur} us]", "cat": cat, "ph": "X", "ts": 0, "dur": dur, "args": {}}


EVENTS = [
    {"ph": "M", "name": "process_name"},
    event("ProfileStep#3", "ProfileStep", 600_000.0),
    event("ProfileStep#4", "ProfileStep", 400_000.0),
    event("teacher", "PythonUserDefined", 200_000.0),
    event("teacher", "PythonUserDefined", 100_000.0),
    event("a user's own", "PythonUserDefined", 900_000.0),
    event("conv2d kernel launch", "DygraphKernelLaunch", 300_000.0),
    event("conv2d dygraph", "Operator", 900_000.0),
    event("conv2d_grad compute", "OperatorInner", 50_000.0),
]


def test_shares_and_times_of_phases_and_operators():
    lines = report(EVENTS, steps=2)
    assert lines[0] == "profile of 2 iterations, 500.0 ms each"
    assert [line.split() for line in lines[2:3]] == [["teacher", "30.0%", "150.00", "1.0"]]
    assert [line.split() for line in lines[4:]] == [
        ["conv2d", "30.0%", "150.00", "0.5"],
        ["conv2d_grad", "5.0%", "25.00", "0.5"],
    ]


def test_on_a_gpu_the_kernels_are_listed():
    lines = report([*EVENTS, event("volta_gemm", "Kernel", 500_000.0)], steps=2)
    assert lines[3].startswith("kernel ")
    assert [line.split() for line in lines[4:]] == [["volta_gemm", "50.0%", "250.00", "0.5"]]


def test_operators_after_the_tenth_are_summed_up():
    many = [event(f"op_{i} kernel launch", "DygraphKernelLaunch", 1000.0 * (13 - i)) for i in range(13)]
    lines = report([EVENTS[1], *many], steps=1)
    assert len(lines) == 1 + 1 + 1 + 10 + 1
    assert lines[3].startswith("op_0 ")
    assert lines[-1].split()[:2] == ["3", "others"]
    assert lines[-1].split()[3:] == ["6.00", "3.0"]


def test_a_profiled_distillation_saves_nothing_but_the_trace(tmp_path, root, lines):
    dic = tiny.config(root, iters=5)
    teacher = tiny.write_yaml(tmp_path / "teacher.yml", {"model": {"type": "TinyNet", "num_classes": 2}})
    arguments = {
        "student_config": tiny.write_yaml(tmp_path / "student.yml", {**dic, "imports": ["tiny"]}),
        "teacher_config": [teacher],
        "distill_config": tiny.write_distill_file(tmp_path / "distill_config.py", []),
        "allow_random_teacher": True,
        "save_dir": str(tmp_path / "run"),
        "profile": 2,
    }
    assert tiny.distill(**arguments) == {}
    assert os.listdir(tmp_path / "run") == ["profile.json"]
    with open(tmp_path / "run" / "profile.json", encoding="utf-8") as file:
        assert json.load(file)["traceEvents"]
    rows = [line.split() for line in lines]
    for name in phases.PHASES:
        assert any(line[0] == name and line[3] == "1.0" for line in rows if len(line) == 4), name
    by_engine = {
        "paddle": ("conv2d", "conv2d_grad"),
        "onednn": ("onednn_conv2d", "onednn_conv2d_weight_grad"),
    }
    for name in by_engine[onednn.engine()]:
        assert any(line[0] == name for line in rows if len(line) == 4), name


def test_a_training_too_short_to_profile_is_refused(tmp_path, root, capsys):
    message = refusal(capsys, lambda: train(tmp_path, config(root, iters=6), profile=10))
    assert message.startswith("profile 10: with 3 iterations to warm up it takes 13, and the training has 6;")


@pytest.mark.parametrize(("device", "waits"), [("gpu:0", 1), ("cpu", 0)])
def test_a_phase_waits_for_a_gpu_only_while_profiling(monkeypatch, device, waits):
    waited = []
    monkeypatch.setattr(paddle, "get_device", lambda: device)
    monkeypatch.setattr(paddle.device, "synchronize", lambda: waited.append(1))
    with phases.phase("student"):
        pass
    assert not waited
    with phases.waiting_phases(), phases.phase("student"):
        pass
    with phases.phase("student"):
        pass
    assert len(waited) == waits

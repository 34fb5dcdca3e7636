"""The ways in which a distillation step is timed, and their processes; no time is asserted."""

import argparse
import os
import sys

import pytest
import step
import step_variants as variants
import turns

from paddleseg.errors import UserError


def flags(*arguments):
    parser = argparse.ArgumentParser()
    variants.add_case_flags(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def worker(benchmarks):
    """A function that starts a process which makes a `Turns` t and runs `code`."""
    started = []

    def start(code):
        command = [sys.executable, "-c", f"from turns import Turns\nt = Turns()\n{code}"]
        started.append(turns.Worker(command, {**os.environ, "PYTHONPATH": benchmarks}))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_a_process_works_when_it_is_asked_and_its_own_output_does_not_disturb(worker):
    process = worker("t.note('imported')\nwhile True:\n    t.take(lambda: print('noise'))")
    answers = [process.turn() for _ in range(2)]
    assert set(process.preparations["memory"]) == {"imported", "prepared"}
    assert all(answer["seconds"] >= 0 for answer in answers)
    assert answers[1]["peak"] >= process.preparations["memory"]["imported"] > 0


def test_the_error_of_a_process_that_dies_holds_its_last_output(worker):
    process = worker("raise SystemExit('no such model')")
    with pytest.raises(RuntimeError, match=r"status 1:\nno such model"):
        process.turn()


def test_memory_is_unknown_unless_the_kernel_states_it(tmp_path):
    path = tmp_path / "status"
    path.write_text("Name:\tpython\nVmHWM:\t    2048 kB\n")
    assert turns.peak_memory(path) == 2048 * 1024
    path.write_text("Name:\tpython\n")
    assert turns.peak_memory(path) is None
    assert turns.peak_memory(tmp_path / "none") is None


def test_a_way_inherits_no_setting_of_the_shell(monkeypatch):
    for name in ("MKL_DEBUG_CPU_TYPE", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "9")
    case = variants.Case("folder", 128, 4, threads=3)
    default = variants.environment(case, variants.VARIANTS["plain_default"])
    tuned = variants.environment(case, variants.VARIANTS["ours"])
    assert default["PADDLESEG_TUNE"] == "0"
    assert "OMP_NUM_THREADS" not in default
    assert tuned["OMP_NUM_THREADS"] == "3"
    assert "PADDLESEG_TUNE" not in tuned
    assert not any("MKL_DEBUG_CPU_TYPE" in environment for environment in (default, tuned))


def test_ways_without_an_interpreter_are_left_out():
    args = flags("--only", "plain", "torch", "paddleseg")
    args.torch_python = None
    assert list(variants.chosen(args)) == ["plain"]
    args.torch_python = "python_with_torch"
    args.paddleseg_python = "python_with_paddleseg"
    assert list(variants.chosen(args)) == ["plain", "paddleseg", "torch"]


def test_the_toolkits_ways_are_compared_with_and_without_what_is_tried():
    args = flags("--only", "plain", "ours", "--try", "A=1", "B=x=y")
    tried = variants.environment_flags(args)
    assert tried == (("A", "1"), ("B", "x=y"))
    chosen = variants.chosen(args, tried)
    assert list(chosen) == ["plain", "ours", "ours with --try"]
    environment = variants.environment(variants.Case("folder", 128, 4, 1), chosen["ours with --try"])
    assert (environment["A"], environment["B"]) == ("1", "x=y")
    assert variants.variant_name("ours with --try") == variants.VARIANTS["ours"].name + " with --try"


def test_something_to_try_without_a_value_is_refused():
    with pytest.raises(UserError, match=r"--try: 'A' is not of the form NAME=VALUE"):
        variants.environment_flags(flags("--try", "A"))


def test_a_sweep_has_larger_batches_and_images_with_all_threads_and_with_one():
    work = [(128, 4), (128, 8), (256, 4), (512, 2)]
    args = argparse.Namespace(size=128, batch=4, threads=2)
    assert step.swept(args) == [(*one, 2) for one in work] + [(*one, 1) for one in work]
    args.threads = 1
    assert step.swept(args) == [(*one, 1) for one in work]


SECONDS = {
    "plain_default": [8.0, 8.0],
    "ours": [2.0, 2.0],
    "torch": [5.0, 5.0],
    "torch_last": [4.0, 4.0],
    "train": [1.0, 1.0],
    "torch_train": [2.0, 2.0],
}


def test_the_table_has_ratios_to_the_same_work_of_the_plain_loop_and_of_the_faster_pytorch():
    lines = step.table(SECONDS, dict.fromkeys(SECONDS, 2**30)).splitlines()
    assert lines[0].endswith("| of the plain loop | of PyTorch | peak, MiB |")
    assert lines[3].endswith("| 2.000 (2.000 to 2.000) | 0.250 | 0.500 | 1024 |")
    assert lines[4].endswith("| 0.625 | 1.250 | 1024 |")
    assert lines[6].endswith("| 1.000 (1.000 to 1.000) |  | 0.500 | 1024 |")


def test_the_growth_of_each_way_is_that_from_its_own_first_case():
    figures = {
        "small": SECONDS,
        "large": {key: [3 * one for one in values] for key, values in SECONDS.items()},
    }
    lines = step.growth(figures).splitlines()
    assert lines[0] == "| one step | small | large |"
    assert lines[3].endswith("| 2.000 | 6.000 (3.00) |")


@pytest.mark.parametrize(("key", "script"), [("train", "step_paddle"), ("paddleseg_train", "step_paddleseg")])
def test_training_alone_is_a_work_of_its_own(monkeypatch, key, script):
    started = []
    monkeypatch.setattr(variants, "Worker", lambda command, environment: started.append(command))
    variants.start(variants.VARIANTS[key], variants.Case("folder", 128, 4, 1, paddleseg_python="python"))
    ((_, path, *arguments),) = started
    assert os.path.basename(path) == f"{script}.py"
    assert arguments[:2] == ["train", "folder"]

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


def test_without_pytorch_only_the_ways_of_paddle_remain():
    args = flags("--only", "plain", "torch")
    args.torch_python = None
    assert list(variants.chosen(args)) == ["plain"]


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


def test_a_sweep_changes_one_number_at_a_time():
    args = argparse.Namespace(size=128, batch=4, threads=2)
    assert step.swept(args) == [(128, 4, 2), (128, 8, 2), (256, 4, 2), (128, 4, 1)]


def test_the_table_has_ratios_to_the_plain_loop_and_to_pytorch():
    lines = step.table({"plain_default": [8.0, 8.0], "ours": [2.0, 2.0], "torch": [4.0, 4.0]}).splitlines()
    assert lines[0].endswith("| of plain loop, Paddle's defaults | of PyTorch, contiguous |")
    assert lines[3].endswith("| 2.000 (2.000 to 2.000) | 0.250 | 0.500 |")

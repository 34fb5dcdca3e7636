"""The commands as processes of their own."""

import os
import subprocess
import sys

import pytest
import tiny


def environment(repository):
    """Return the environment of a user's shell whose own modules are the tests' components."""
    return {**os.environ, "PYTHONPATH": str(repository / "tests"), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    "script",
    [
        "train.py",
        "val.py",
        "slim/distill/distill_train.py",
        "slim/quant/ptq.py",
        "slim/quant/qat.py",
        "slim/prune/prune.py",
    ],
)
def test_help_imports_nothing_heavy(repository, script):
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{script!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({script!r}, run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        "assert not {'paddle', 'paddleslim', 'cv2', 'numpy'} & set(sys.modules), 'heavy'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--opts" in done.stdout


def test_the_tutorials_three_commands_from_another_folder(repository, tmp_path):
    root = tiny.write_optic_disc(tmp_path / "data")
    quick = repository / "configs/quick_start"
    teacher = quick / "deeplabv3p_resnet50_os8_optic_disc_512x512_1k_teacher.yml"
    student = quick / "deeplabv3p_resnet18_os8_optic_disc_512x512_1k_student.yml"
    changes = [f"{split}_dataset.dataset_root={root}" for split in ("train", "val")]
    changes += [f"{split}_dataset.transforms.0.target_size=[32,32]" for split in ("train", "val")]
    flags = ["--do_eval", "--use_vdl", "--save_interval", "2", "--num_workers", "1", "--seed", "0"]
    flags += ["--iters", "2", "--log_iters", "1", "--device", "cpu", "--opts", *changes]

    def run(script, *arguments):
        command = [sys.executable, str(repository / script), *(str(a) for a in arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(repository), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("train.py", "--config", teacher, "--save_dir", "output/teacher", *flags)
    run("train.py", "--config", student, "--save_dir", "output/student", *flags)
    best = "output/teacher/best_model/model.pdparams"
    script = "slim/distill/distill_train.py"
    configs = ["--teather_config", teacher, "--student_config", student]
    weights = ["--teacher_opts", f"model.pretrained={best}"]
    printed = run(script, *configs, "--save_dir", "output/distilled", *weights, *flags)
    assert "iter: 2/2" in printed
    assert "KLLoss: " in printed
    best = "output/distilled/best_model/model.pdparams"
    assert "mIoU" in run("val.py", "--config", student, "--model_path", best, "--opts", *changes)

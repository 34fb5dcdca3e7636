import argparse
import os
import subprocess
import sys

import pytest
from refusal import refusal

from paddleseg import cli
from paddleseg.errors import Stopped, UserError

# What takes long to load.
HEAVY = ("numpy", "cv2", "paddle", "paddleslim", "onnxruntime", "PIL", "matplotlib")


def training_flags(*arguments):
    parser = argparse.ArgumentParser()
    cli.add_training_flags(parser)
    return parser.parse_args(arguments)


def script(repository, folder, name, *arguments):
    """Run one of the commands in `folder`, with the tests' own components in reach."""
    path = os.pathsep.join([str(repository), str(repository / "tests")])
    return subprocess.run(
        [sys.executable, str(repository / name), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_user_error_becomes_one_message_and_status_2(capsys):
    def main():
        raise UserError("no such thing")

    assert refusal(capsys, main) == "no such thing"


def test_a_bug_keeps_its_traceback():
    def main():
        raise KeyError("hidden_0")

    with pytest.raises(KeyError):
        cli.run(main)


@pytest.mark.parametrize(
    ("error", "status"), [(Stopped(15), 143), (Stopped(2), 130), (KeyboardInterrupt(), 130)]
)
def test_a_signal_becomes_its_exit_status(error, status):
    def main():
        raise error

    with pytest.raises(SystemExit) as exit_:
        cli.run(main)
    assert exit_.value.code == status


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_sigterm_ends_a_command_quietly_and_what_it_has_begun_is_cleaned_up(repository, tmp_path):
    code = """
import tempfile, time
from paddleseg import cli

def main():
    cli.prepare()
    with tempfile.TemporaryDirectory(dir="."):
        print("ready", flush=True)
        time.sleep(60)

cli.run(main)
"""
    environment = {**os.environ, "PYTHONPATH": str(repository), "PADDLESEG_TUNE": "0"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, **pipes)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (143, "", "")
    assert os.listdir(tmp_path) == []


def test_a_run_that_succeeds_returns(capsys):
    assert cli.run(lambda: None) is None
    assert capsys.readouterr().err == ""


def test_defaults_are_paddlesegs():
    flags = vars(training_flags())
    assert flags == {
        "device": "auto",
        "num_workers": 0,
        "opts": None,
        "save_dir": "./output",
        "do_eval": False,
        "no_eval": False,
        "log_style": "auto",
        "use_vdl": False,
        "vdl_images": 4,
        "resume_model": None,
        "resume_anyway": False,
        "use_ema": False,
        "early_stop_intervals": None,
        "accumulate_steps": 1,
        "max_bad_steps": 10,
        "max_bad_samples": 0,
        "precision": "fp32",
        "amp_level": "O1",
        "data_format": "NCHW",
        "to_static_training": False,
        "profile": None,
        "iters": None,
        "batch_size": None,
        "learning_rate": None,
        "save_interval": 1000,
        "log_iters": 10,
        "keep_checkpoint_max": 5,
        "seed": 0,
        "cache_views": None,
        "cache_images": "none",
        "cache_images_limit": None,
        "cache_images_dir": None,
    }


def test_every_flag_reaches_its_name():
    line = (
        "--device cpu --num_workers 2 --opts a=1 b=2 --save_dir out --do_eval --use_vdl "
        "--resume_model out/iter_1 --iters 5 --batch_size 6 --learning_rate 1e-3 --save_interval 7 "
        "--log_iters 8 --keep_checkpoint_max 9 --seed 10 --resume_anyway --use_ema "
        "--early_stop_intervals 11 --accumulate_steps 12 --max_bad_steps 13 --cache_views 14 "
        "--precision bf16 --amp_level O2 --to_static_training --profile"
    )
    flags = training_flags(*line.split())
    assert (flags.device, flags.num_workers, flags.opts) == ("cpu", 2, ["a=1", "b=2"])
    assert (flags.save_dir, flags.do_eval, flags.use_vdl) == ("out", True, True)
    assert (flags.resume_model, flags.iters, flags.batch_size) == ("out/iter_1", 5, 6)
    assert (flags.learning_rate, flags.save_interval, flags.log_iters) == (0.001, 7, 8)
    assert (flags.keep_checkpoint_max, flags.seed) == (9, 10)
    assert (flags.resume_anyway, flags.use_ema, flags.early_stop_intervals) == (True, True, 11)
    assert (flags.accumulate_steps, flags.max_bad_steps, flags.cache_views) == (12, 13, 14)
    assert (flags.precision, flags.amp_level, flags.to_static_training) == ("bf16", "O2", True)
    assert flags.profile == 10


def test_opts_said_twice_are_joined():
    assert training_flags("--opts", "a=1", "--seed", "1", "--opts", "b=2").opts == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--iters", "0"], "--iters: must be above 0"),
        (["--iters", "-5"], "--iters: '-5' is not a whole number of 0 or above"),
        (["--batch_size", "2.5"], "--batch_size: '2.5' is not a whole number"),
        (["--batch_size", "²"], "--batch_size"),
        (["--cache_views", "0"], "--cache_views: must be above 0"),
        (["--save_interval", "0"], "--save_interval: must be above 0"),
        (["--log_iters", "0"], "--log_iters: must be above 0"),
        (["--keep_checkpoint_max", "0"], "--keep_checkpoint_max: must be above 0"),
        (["--num_workers", "-1"], "--num_workers: '-1'"),
        (["--seed", "x"], "--seed: 'x'"),
        (["--learning_rate", "fast"], "--learning_rate"),
        (["--device", "tpu"], "'auto', 'gpu', 'cpu'"),
        (["--do_eval", "--no_eval"], "not allowed with argument"),
        (["--opts"], "--opts: expected at least one argument"),
        (["--precision", "fp64"], "--precision"),
        (["--amp_level", "O3"], "--amp_level"),
        (["--profile", "0"], "--profile: must be above 0"),
        (["--repeats", "2"], "unrecognized arguments: --repeats"),
    ],
)
def test_a_flag_that_cannot_act_is_refused(arguments, told, capsys):
    with pytest.raises(SystemExit) as exit_:
        training_flags(*arguments)
    assert exit_.value.code == 2
    assert told in capsys.readouterr().err.replace('"', "'").replace(
        "choose from auto, gpu, cpu", "'auto', 'gpu', 'cpu'"
    )


# deploy/infer.py is a file that stands alone; it reads images, and has no use for being without OpenCV.
COMMANDS = {
    **{f"{name}.py": HEAVY for name in ("train", "val", "predict", "export", "slim/distill/distill_train")},
    **{f"tools/{name}.py": HEAVY for name in ("check_dataset", "cost", "demo", "make_optic_disc", "report")},
    **{f"tools/{name}.py": HEAVY for name in ("config_reference", "supported")},
    **{f"benchmarks/{name}.py": HEAVY for name in ("accuracy", "step", "memory", "step_setup")},
    "deploy/infer.py": ("paddle", "onnxruntime"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_answers_without_loading_anything_heavy(repository, tmp_path, name):
    path = tmp_path / "light.py"
    path.write_text(
        "import runpy, sys\n"
        f"sys.path.insert(0, {str((repository / name).parent)!r})\n"
        f"sys.argv = [{name!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(repository / name)!r}, run_name='__main__')\n"
        "finally:\n"
        f"    print([m for m in {COMMANDS[name]} if m in sys.modules])\n"
    )
    done = script(repository, tmp_path, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    assert done.stdout.splitlines()[-1] == "[]"


def test_memory_that_does_not_suffice_is_said_in_one_line(capsys):
    def allocate():
        raise MemoryError("Unable to allocate\n 40 GiB")

    with pytest.raises(SystemExit) as stop:
        cli.run(allocate)
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: out of memory (Unable to allocate 40 GiB); a smaller batch_size, crop or model needs less\n"
    )


BAD = """\
imports: [components]
iters: 10
batch_size: none
model: {type: UserNet, numclasses: 2}
"""


@pytest.mark.parametrize("name", ["train.py", "val.py"])
def test_a_bad_config_ends_a_command_with_status_2(repository, tmp_path, name):
    (tmp_path / "bad.yml").write_text(BAD)
    done = script(repository, tmp_path, name, "--config", "bad.yml", "--device", "cpu")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "bad.yml:3: batch_size: must be a whole number above 0, not 'none'" in done.stderr
    assert (
        "bad.yml:4: model.numclasses: unknown key 'numclasses' of UserNet; did you mean 'num_classes'?"
        in (done.stderr)
    )


def test_a_missing_config_ends_a_command_with_status_2(repository, tmp_path):
    done = script(repository, tmp_path, "train.py", "--config", "nowhere.yml")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: there is no config file nowhere.yml"
    assert "Traceback" not in done.stderr


def evaluation_flags(*arguments):
    parser = argparse.ArgumentParser()
    cli.add_evaluation_flags(parser)
    return vars(parser.parse_args(arguments))


def test_what_is_not_asked_of_an_evaluation_is_left_to_the_config():
    assert evaluation_flags() == dict.fromkeys(cli.EVALUATION_FLAGS)


def test_an_evaluation_takes_paddlesegs_flags():
    text = (
        "--aug_eval --scales 0.75 1 1.25 --flip_horizontal --flip_vertical --is_slide --crop_size 8 6 "
        "--stride 4 3 --auc_roc True"
    )
    assert evaluation_flags(*text.split()) == {
        "aug_eval": True,
        "scales": [0.75, 1.0, 1.25],
        "flip_horizontal": True,
        "flip_vertical": True,
        "is_slide": True,
        "crop_size": [8, 6],
        "stride": [4, 3],
        "auc_roc": True,
        "boundary_iou": None,
    }
    assert evaluation_flags("--auc_roc", "--boundary_iou")["auc_roc"] is True
    assert evaluation_flags("--auc_roc", "false")["auc_roc"] is False


def test_a_prediction_takes_the_same_by_paddlesegs_name_or_by_evaluations():
    parser = argparse.ArgumentParser()
    cli.add_inference_flags(parser, "--aug_pred", "--aug_eval")
    assert vars(parser.parse_args([])) == dict.fromkeys(cli.INFERENCE_FLAGS)
    for name in ("--aug_pred", "--aug_eval"):
        flags = vars(parser.parse_args(f"{name} --scales 0.5 2 --is_slide --stride 4 3".split()))
        given = {"aug_eval": True, "scales": [0.5, 2.0], "is_slide": True, "stride": [4, 3]}
        assert flags == {**dict.fromkeys(cli.INFERENCE_FLAGS), **given}


@pytest.mark.parametrize(
    "arguments",
    ["--crop_size 8", "--crop_size 8 8 8", "--stride 0 4", "--stride a 4", "--scales", "--auc_roc yes"],
)
def test_a_flag_of_another_form_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        evaluation_flags(*arguments.split())
    assert exit_.value.code == 2
    assert arguments.split()[0] in capsys.readouterr().err

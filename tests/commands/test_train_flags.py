import argparse

import pytest

from paddleseg.commands.flags import options_from
from paddleseg.commands.train import add_training_flags
from paddleseg.errors import UserError
from paddleseg.options import TrainOptions


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_training_flags(parser, TrainOptions)
    return parser.parse_args(arguments)


def test_defaults_are_paddlesegs():
    flags = vars(parsed())
    assert flags == {
        "device": "auto",
        "conv_engine": "auto",
        "num_workers": 0,
        "opts": None,
        "save_dir": "./output",
        "do_eval": False,
        "no_eval": False,
        "log_style": "auto",
        "log_config": False,
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
        "dry_run": False,
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
        "--precision bf16 --amp_level O2 --to_static_training --dry_run --profile"
    )
    flags = parsed(*line.split())
    assert (flags.device, flags.num_workers, flags.opts) == ("cpu", 2, ["a=1", "b=2"])
    assert (flags.save_dir, flags.do_eval, flags.use_vdl) == ("out", True, True)
    assert (flags.resume_model, flags.iters, flags.batch_size) == ("out/iter_1", 5, 6)
    assert (flags.learning_rate, flags.save_interval, flags.log_iters) == (0.001, 7, 8)
    assert (flags.keep_checkpoint_max, flags.seed) == (9, 10)
    assert (flags.resume_anyway, flags.use_ema, flags.early_stop_intervals) == (True, True, 11)
    assert (flags.accumulate_steps, flags.max_bad_steps, flags.cache_views) == (12, 13, 14)
    assert (flags.precision, flags.amp_level, flags.to_static_training) == ("bf16", "O2", True)
    assert (flags.dry_run, flags.profile) == (True, 10)


def test_opts_said_twice_are_joined():
    assert parsed("--opts", "a=1", "--seed", "1", "--opts", "b=2").opts == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--iters", "0"], "--iters: must be a whole number above 0"),
        (["--iters", "-5"], "--iters: must be a whole number above 0"),
        (["--batch_size", "2.5"], "--batch_size: must be a whole number above 0, not '2.5'"),
        (["--batch_size", "²"], "--batch_size"),
        (["--cache_views", "0"], "--cache_views: must be a whole number above 0"),
        (["--save_interval", "0"], "--save_interval: must be a whole number above 0"),
        (["--log_iters", "0"], "--log_iters: must be a whole number above 0"),
        (["--keep_checkpoint_max", "0"], "--keep_checkpoint_max: must be a whole number above 0"),
        (["--num_workers", "-1"], "--num_workers: must be a whole number of 0 or above, not -1"),
        (["--seed", "x"], "--seed: must be a whole number from 0 to 4294967295, not 'x'"),
        (["--learning_rate", "fast"], "--learning_rate"),
        (["--device", "tpu"], "'auto', 'gpu', 'cpu'"),
        (["--opts"], "--opts: expected at least one argument"),
        (["--precision", "fp64"], "--precision"),
        (["--amp_level", "O3"], "--amp_level"),
        (["--profile", "0"], "--profile: must be a whole number above 0"),
        (["--repeats", "2"], "unrecognized arguments: --repeats"),
    ],
)
def test_a_flag_that_cannot_act_is_refused(arguments, told, capsys):
    with pytest.raises(SystemExit) as exit_:
        parsed(*arguments)
    assert exit_.value.code == 2
    assert told in capsys.readouterr().err.replace('"', "'").replace(
        "choose from auto, gpu, cpu", "'auto', 'gpu', 'cpu'"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--do_eval", "--no_eval"], "do_eval and no_eval exclude each other"),
        (["--amp_level", "O2"], "amp_level O2: .* precision is fp32"),
        (["--data_format", "NHWC"], "data_format NHWC"),
        (["--cache_images_limit", "4G"], "cache_images_limit has no effect without cache_images"),
    ],
)
def test_flags_that_do_not_go_together_are_refused_as_options_are(arguments, message):
    with pytest.raises(UserError, match=message):
        options_from(parsed(*arguments), TrainOptions)

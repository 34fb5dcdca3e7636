"""Options: frozen, checked when they are made, and the same for commands and for scripts."""

import argparse
import dataclasses

import pytest

from paddleseg import options
from paddleseg.commands import flags
from paddleseg.errors import UserError

CLASSES = [
    getattr(options, name) for name in options.__all__ if name.endswith(("Options", "Changes", "Config"))
]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_option_has_a_meaning_and_a_sound_default(cls):
    assert dataclasses.asdict(cls()) is not None
    for field in dataclasses.fields(cls):
        meaning = field.metadata["meaning"]
        assert meaning
        assert meaning == meaning.strip()
        assert not meaning.endswith(".")


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not options.EvalConfig])
def test_a_command_without_flags_has_the_defaults_of_a_script(cls):
    parser = argparse.ArgumentParser()
    flags.add_options(parser, cls)
    assert flags.options_from(parser.parse_args([]), cls) == cls()


def test_options_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.TrainOptions().seed = 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": -1}, "seed must be a whole number from 0 to 4294967295, not -1"),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4294967295, not 4294967296"),
        ({"save_interval": 0}, "save_interval must be a whole number above 0, not 0"),
        ({"num_workers": 1.5}, "num_workers must be a whole number of 0 or above, not 1.5"),
        ({"use_ema": 1}, "use_ema must be true or false, not 1"),
        ({"device": "tpu"}, "device must be 'auto' or 'gpu' or 'cpu', not 'tpu'"),
        ({"early_stop_intervals": 0}, "early_stop_intervals must be a whole number above 0, not 0"),
        ({"do_eval": True, "no_eval": True}, "do_eval and no_eval exclude each other"),
        ({"dry_run": True, "profile": 2}, "dry_run and profile exclude each other"),
        ({"dry_run": True, "resume_model": "auto"}, "dry_run and resume_model exclude each other"),
        ({"data_format": "NHWC"}, "data_format NHWC: the models compute in NCHW alone"),
        ({"amp_level": "O2"}, "amp_level O2: .* precision is fp32"),
        ({"cache_images_dir": "x"}, "cache_images_dir has no effect without cache_images"),
    ],
)
def test_a_training_that_cannot_be_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        options.TrainOptions(**given)


def test_a_pruning_has_no_dry_run():
    with pytest.raises(UserError, match="dry_run: prune.py has none"):
        options.PruneOptions(dry_run=True)


def test_a_cache_of_the_teacher_needs_views():
    with pytest.raises(UserError, match="teacher_cache needs cache_views K"):
        options.DistillOptions(teacher_cache="x")
    assert options.DistillOptions(teacher_cache="x", cache_views=2).cache_dtype == "float16"


@pytest.mark.parametrize("shape", [[1, 3, 8], [1, -1, 8, 8], [1, 3, 0, 8], [0, 3, 8, 8]])
def test_an_export_of_no_such_shape_is_refused(shape):
    with pytest.raises(UserError, match="input_shape .*: it takes N C H W"):
        options.ExportOptions(input_shape=shape)


def test_images_are_for_onnx_alone():
    with pytest.raises(UserError, match="images are what an ONNX file is compared on"):
        options.ExportOptions(images=["a.png"])
    with pytest.raises(UserError, match="^precision fp16 needs format onnx: the weights of a Paddle graph"):
        options.ExportOptions(precision="fp16")
    with pytest.raises(UserError, match="^opset is the operator set of an ONNX file; it needs format onnx"):
        options.ExportOptions(opset=13)
    assert options.ExportOptions(images=["a.png"], format="onnx").max_images == 20


def test_colours_are_bytes():
    with pytest.raises(UserError, match="custom_color must be a list of whole numbers from 0 to 255"):
        options.PredictOptions(custom_color=[0, 0, 256])

"""PaddleSeg's flags that have no effect here are answered by what to do instead."""

import pytest
from refusal import refused

from paddleseg.commands.parser import REFUSED, CommandParser

SCRIPTS = {
    "train.py": ("--profiler_options=batch_range=[50,60]", "give --profile N"),
    "tools/train.py": ("--repeats 4", "more --iters show it more often"),
    "slim/distill/distill_train.py": ("--fp16", "give --precision fp16"),
    "deploy/slim/distill/distill_train.py": ("--save_latest_only", "--keep_checkpoint_max 1"),
    "val.py": ("--use_multilabel", "a pixel of a mask has one class"),
    "tools/val.py": ("--precision fp16", "evaluation and prediction compute in float32"),
    "predict.py": ("--device_id 1", "CUDA_VISIBLE_DEVICES selects a GPU"),
    "tools/predict.py": ("--use_trt True", "export.py --format onnx"),
    "export.py": ("--without_argmax", "give --output_op none"),
    "tools/export.py": ("--for_fd", "copy model.json, model.pdiparams and deploy.yaml of the export"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_flag_of_paddleseg_is_answered(command, script):
    flag, answer = SCRIPTS[script]
    name = flag.split()[0].split("=")[0]
    result = command(script, "--config", "none.yml", *flag.split())
    refused(result, f"error: {name} is PaddleSeg's flag and has no effect here: ", answer)


def parser():
    made = CommandParser(prog="x")
    made.add_argument("--config")
    made.add_argument("--precision")
    made.add_argument("--opts", nargs="*")
    return made


@pytest.mark.parametrize("equals", [" ", "="])
@pytest.mark.parametrize("flag", [(name, value) for name, r in REFUSED.items() for value in r.idle if value])
def test_a_flag_that_asks_for_what_is_done_anyway_is_accepted(flag, equals):
    name, value = flag
    words = ["--config", "c.yml", *f"--{name}{equals}{value}".split(), "--opts", "a=1"]
    args = parser().parse_args(words)
    assert (args.config, args.opts) == ("c.yml", ["a=1"])
    assert args.precision == (value if name == "precision" else None)


def test_a_commands_own_flag_of_the_name_is_taken():
    assert parser().parse_args(["--precision", "fp16"]).precision == "fp16"


def test_words_that_are_no_flags_are_left():
    words = ["repeats", "--repeats=1", "repeats"]
    assert parser().parse_args(["--opts", *words]).opts == ["repeats", "repeats"]

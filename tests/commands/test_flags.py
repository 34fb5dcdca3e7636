import argparse

import pytest

from paddleseg.commands.flags import add_test_config_flags
from paddleseg.options.inference import EVALUATION_KEYS, INFERENCE_KEYS


def evaluation_flags(*arguments):
    parser = argparse.ArgumentParser()
    add_test_config_flags(parser, EVALUATION_KEYS)
    return vars(parser.parse_args(arguments))


def test_what_is_not_asked_of_an_evaluation_is_left_to_the_config():
    assert evaluation_flags() == dict.fromkeys(EVALUATION_KEYS)


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
    add_test_config_flags(parser, INFERENCE_KEYS, ("--aug_pred", "--aug_eval"))
    assert vars(parser.parse_args([])) == dict.fromkeys(INFERENCE_KEYS)
    for name in ("--aug_pred", "--aug_eval"):
        flags = vars(parser.parse_args(f"{name} --scales 0.5 2 --is_slide --stride 4 3".split()))
        given = {"aug_eval": True, "scales": [0.5, 2.0], "is_slide": True, "stride": [4, 3]}
        assert flags == {**dict.fromkeys(INFERENCE_KEYS), **given}


@pytest.mark.parametrize(
    "arguments",
    ["--crop_size 8", "--crop_size 8 8 8", "--stride 0 4", "--stride a 4", "--scales", "--auc_roc yes"],
)
def test_a_flag_of_another_form_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        evaluation_flags(*arguments.split())
    assert exit_.value.code == 2
    assert arguments.split()[0] in capsys.readouterr().err

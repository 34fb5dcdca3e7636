"""deploy/paddleseg_flags.py: PaddleSeg's flags that the script lacks are answered, and its own are taken."""

import pytest


@pytest.fixture
def flags(deployment):
    """deploy/paddleseg_flags.py, as a module."""
    return deployment("paddleseg_flags")


def test_flags_of_no_effect_are_answered(flags):
    for words, answer in (
        (["--use_trt", "True"], "give --providers tensorrt"),
        (
            ["--precision=int8"],
            "a model runs in the precision of its file: export.py --precision fp16, or slim",
        ),
    ):
        with pytest.raises(
            flags.UserError, match=f"^{words[0].split('=')[0]} is PaddleSeg's flag .*{answer}"
        ):
            flags.without_idle(words)
    assert flags.without_idle(["--use_trt", "False", "--precision", "fp32", "--device", "cpu"]) == [
        "--device",
        "cpu",
    ]


def test_the_scripts_own_flags_are_taken(flags):
    words = ["--batch_size", "4", "--benchmark", "True", "--providers", "cuda"]
    assert flags.without_idle(words) == words

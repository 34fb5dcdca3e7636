"""The picture of the architecture shows what is in the code."""

from xml.etree import ElementTree

import pytest
from refusal import refusal


@pytest.fixture(scope="module")
def architecture(tool):
    """The script tools/architecture.py, as a module."""
    return tool("architecture")


def test_the_picture_is_up_to_date(run, architecture):
    assert run(architecture, "--check") == 0


def test_every_station_is_drawn_once_with_its_module(architecture):
    texts = [
        text.text for text in ElementTree.fromstring(architecture.svg()).iter() if text.tag.endswith("text")
    ]
    for title, stations in architecture.LANES:
        assert title in texts
        for module, name, _ in stations:
            assert name in texts
            assert module.removeprefix("paddleseg.") in texts


def test_a_station_that_is_not_in_the_code_is_refused(architecture, capsys):
    lanes = (("A lane", (("paddleseg.training", "Nobody", "nothing"),)),)
    message = refusal(capsys, lambda: architecture.svg(lanes))
    assert message.startswith("paddleseg.training has no Nobody")

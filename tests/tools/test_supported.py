"""The READMEs' table of what is supported is that of the registries."""

import pathlib
import shutil

import pytest
from refusal import refusal

from paddleseg.cvlibs import manager


@pytest.fixture(scope="module")
def supported(tool):
    """The script tools/supported.py, as a module."""
    return tool("supported")


@pytest.fixture
def readme(repository, tmp_path):
    return pathlib.Path(shutil.copy(repository / "README.md", tmp_path))


def test_the_readmes_are_up_to_date(run, supported):
    assert run(supported, "--check") == 0


def test_an_outdated_table_is_reported_and_rewritten(run, supported, readme, capsys):
    written = readme.read_text(encoding="utf-8")
    readme.write_text(written.replace("`DeepLabV3P`, `FCN`", "`DeepLab`"), encoding="utf-8")
    assert run(supported, "--check", "--files", readme) == 1
    assert "outdated; run python tools/supported.py" in capsys.readouterr().out
    assert run(supported, "--files", readme) == 0
    assert readme.read_text(encoding="utf-8") == written


def test_a_readme_without_the_markers_is_refused(typed, supported, readme, capsys):
    typed("supported.py", "--files", readme)
    readme.write_text("# Nothing here\n", encoding="utf-8")
    message = refusal(capsys, supported.main)
    assert message.startswith(f"{readme} has no <!-- supported: begin --> with")


def test_each_component_is_in_its_line_and_those_of_users_in_none(supported):
    import components  # noqa: F401  registers a user's

    lines = dict(line.strip("| ").split(" | ") for line in supported.table().splitlines()[2:])
    assert "`DeepLabV3P`" in lines["models"]
    assert "`ResNet18_vd`" in lines["backbones"]
    assert "`CrossEntropyLoss`" in lines["losses against the label"]
    assert "`CrossEntropyLoss`" not in lines["losses against the teacher"]
    assert "`SegChannelwiseLoss`" in lines["losses against the teacher"]
    assert "`RKDLoss`" in lines["PaddleSlim's losses between features"]
    assert "`KLLoss`" not in lines["PaddleSlim's losses between features"]  # the project's own has this name
    for name in manager.TRANSFORMS:
        assert (f"`{name}`" in lines["transforms"]) == manager.TRANSFORMS[name].__module__.startswith(
            "paddleseg."
        )
    assert not any("User" in line for line in lines.values())

"""The README's table of what is supported is that of the registries."""

import importlib.util
import pathlib
import shutil
import sys

import pytest
from refusal import refusal

from paddleseg.cvlibs import manager


@pytest.fixture(scope="module")
def supported(repository):
    """The script tools/supported.py, as a module."""
    spec = importlib.util.spec_from_file_location("supported", repository / "tools/supported.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def readme(repository, tmp_path):
    return pathlib.Path(shutil.copy(repository / "README.md", tmp_path))


def run(monkeypatch, supported, *arguments):
    monkeypatch.setattr(sys, "argv", ["supported.py", *map(str, arguments)])
    supported.main()


def test_the_readme_is_up_to_date(monkeypatch, supported):
    run(monkeypatch, supported, "--check")


def test_an_outdated_table_is_told_and_mended(monkeypatch, supported, readme, capsys):
    written = readme.read_text(encoding="utf-8")
    readme.write_text(written.replace("`DeepLabV3P`", "`DeepLab`"), encoding="utf-8")
    with pytest.raises(SystemExit) as exit_:
        run(monkeypatch, supported, "--check", "--readme", readme)
    assert exit_.value.code == 1
    assert "outdated; run python tools/supported.py" in capsys.readouterr().out
    run(monkeypatch, supported, "--readme", readme)
    assert readme.read_text(encoding="utf-8") == written


def test_a_readme_without_the_markers_is_refused(monkeypatch, supported, readme, capsys):
    readme.write_text("# Nothing here\n", encoding="utf-8")
    message = refusal(capsys, lambda: run(monkeypatch, supported, "--readme", readme))
    assert message.startswith(f"{readme} has no <!-- supported: begin --> with")


def test_each_component_is_in_its_line_and_a_users_own_in_none(supported):
    import components  # noqa: F401  registers a user's

    lines = dict(line.strip("| ").split(" | ") for line in supported.table().splitlines()[2:])
    assert "`DeepLabV3P`" in lines["models"]
    assert "`ResNet18_vd`" in lines["backbones"]
    assert "`CrossEntropyLoss`" in lines["losses against the label"]
    assert "`CrossEntropyLoss`" not in lines["losses against the teacher"]
    assert "`SegChannelwiseLoss`" in lines["losses against the teacher"]
    assert "`RKDLoss`" in lines["PaddleSlim's losses between features"]
    assert "`KLLoss`" not in lines["PaddleSlim's losses between features"]  # the project's goes before it
    for name in manager.TRANSFORMS:
        assert (f"`{name}`" in lines["transforms"]) == manager.TRANSFORMS[name].__module__.startswith(
            "paddleseg."
        )
    assert not any("User" in line for line in lines.values())

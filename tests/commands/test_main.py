"""`paddleseg-distill`: all commands under one name, and PaddleSeg's paths, with the flags of the scripts."""

import subprocess
import sys

import pytest
from refusal import refusal

from paddleseg.commands import __main__ as entry
from paddleseg.commands.parser import CommandParser

SCRIPTS = {
    "train": ("train.py", "tools/train.py"),
    "distill": ("slim/distill/distill_train.py", "deploy/slim/distill/distill_train.py"),
    "val": ("val.py", "tools/val.py"),
    "predict": ("predict.py", "tools/predict.py"),
    "export": ("export.py", "tools/export.py"),
    "ptq": ("slim/quant/ptq.py", "deploy/slim/quant/ptq.py"),
    "qat": ("slim/quant/qat.py",),
    "prune": ("slim/prune/prune.py", "deploy/slim/prune/prune.py"),
    "report": ("tools/report.py",),
    "cost": ("tools/cost.py",),
    "check_dataset": ("tools/check_dataset.py",),
    "compare": ("tools/compare.py",),
    "from_labelme": ("tools/data/from_labelme.py",),
    "from_coco": ("tools/data/from_coco.py",),
    "from_voc": ("tools/data/from_voc.py",),
    "to_labelme": ("tools/data/to_labelme.py",),
    "convert_masks": ("tools/data/convert_masks.py",),
    "split": ("tools/data/split.py",),
    "draw": ("tools/data/draw.py",),
    "make_optic_disc": ("tools/make_optic_disc.py",),
    "demo": ("tools/demo.py",),
    "infer": ("deploy/infer.py",),
}


@pytest.fixture(autouse=True)
def _no_subcommand(monkeypatch):
    """Put back what the dispatcher sets for the rest of its process."""
    monkeypatch.setattr(CommandParser, "subcommand", None)


@pytest.fixture
def call(monkeypatch):
    """Run `paddleseg-distill` with some words."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["/somewhere/bin/paddleseg-distill", *words])
        entry.main()

    return run


def help_of(repository, *command):
    done = subprocess.run(
        [sys.executable, *command, "--help"], cwd=repository, capture_output=True, text=True, check=True
    )
    usage, _, flags = done.stdout.partition("\n\n")
    assert "usage: " in usage
    return flags


@pytest.mark.parametrize("name", ["train", "distill", "export"])
def test_flags_are_the_scripts(repository, name):
    flags = help_of(repository, "-m", "paddleseg.commands", name)
    assert all(help_of(repository, script) == flags for script in SCRIPTS[name])


def test_every_script_is_a_command(repository):
    assert {*entry.COMMANDS} == {*SCRIPTS, "configs"}
    for paths in SCRIPTS.values():
        assert all((repository / path).is_file() for path in paths)


def test_help_lists_the_commands(call, capsys):
    call("--help")
    printed = capsys.readouterr().out
    assert printed.startswith("usage: paddleseg-distill COMMAND ...")
    assert all(f"\n  {name} " in printed for name in entry.COMMANDS)


def test_an_unknown_command_is_refused(call, capsys):
    message = refusal(capsys, lambda: call("trian"))
    assert message == "paddleseg-distill has no command 'trian'; did you mean 'train'?"
    assert refusal(capsys, call).startswith("name a command\nusage: ")


def test_a_command_reads_the_words_behind_its_name(call, capsys):
    call("configs", "quick_start", "student")
    printed = capsys.readouterr().out.split()
    assert printed == ["configs/quick_start/deeplabv3p_resnet18_os8_optic_disc_512x512_1k_student.yml"]
    with pytest.raises(SystemExit):
        call("val", "--help")
    assert capsys.readouterr().out.startswith("usage: paddleseg-distill val ")

"""Checkpoints cut off and flipped at random: found, passed over, never used."""

import os
import random
import shutil

import noisy
import pytest

from paddleseg.checkpoints.checkpoint import newest, read_state
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder with the checkpoints of iterations 2 and 4 of a training."""
    folder = tmp_path_factory.mktemp("damage")
    given = noisy.write(folder)
    run = folder / "run"
    noisy.train(given, "distilled", save_dir=str(run), iters=4, no_eval=True, use_ema=True)
    return run


def harm(rng, folder):
    """Damage one file of a folder: cut it off, flip a bit of it, append to it, empty it or remove it."""
    path = os.path.join(folder, rng.choice(sorted(os.listdir(folder))))
    kind, size = rng.choice(["cut", "flip", "append", "empty", "remove"]), os.path.getsize(path)
    if kind == "cut":
        os.truncate(path, rng.randrange(size))
    elif kind == "flip":
        with open(path, "r+b") as file:
            place = rng.randrange(size)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << rng.randrange(8)]))
    elif kind == "append":
        with open(path, "ab") as file:
            file.write(b"\0")
    elif kind == "empty":
        os.truncate(path, 0)
    else:
        os.remove(path)
    return kind, os.path.basename(path)


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_damage_is_always_found(checkpoints, tmp_path, monkeypatch, count):
    monkeypatch.setattr(logger, "warning", lambda text: None)
    rng = random.Random(3)
    shutil.copytree(checkpoints, tmp_path / "run")
    for _ in range(count):
        target = tmp_path / "run" / "iter_4"
        shutil.rmtree(target)
        shutil.copytree(checkpoints / "iter_4", target)
        what = harm(rng, target)
        if what[1] == "manifest.json" and same_manifest(checkpoints, target):
            continue  # such as a blank that was appended
        assert newest(str(tmp_path / "run")) == str(tmp_path / "run" / "iter_2"), what
        with pytest.raises(UserError, match="is damaged|there is no state.json"):
            read_state(str(target))


def same_manifest(checkpoints, target):
    """Tell whether a damaged manifest still says the same of every file."""
    import json

    try:
        contents = [
            json.loads((folder / "manifest.json").read_bytes()) for folder in (checkpoints / "iter_4", target)
        ]
    except (OSError, ValueError):
        return False
    return contents[0] == contents[1]

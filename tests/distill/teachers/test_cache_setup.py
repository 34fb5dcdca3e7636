"""What the set-up of a cache logs and refuses."""

import hashlib
import json
import os

import distilling
import pytest
import tiny

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError


def test_the_log_and_the_description_say_what_a_folder_holds(distill, tmp_path, lines):
    distill(cache="cache", features=[distilling.feature("body.0", connector="auto")])
    (folder,) = (tmp_path / "cache").iterdir()
    description = json.loads((folder / "cache.json").read_text())
    names = "\n".join(f"JPEGImages/train_{i}.jpg" for i in range(10))
    weights = description["teacher"].pop("weights (SHA-256)")
    # Other words would name another folder, and caches of earlier versions would not be found.
    assert description == {
        "what": "outputs of a teacher for views of training images; row = number of the image * views + view",
        "form": 1,
        "views": 2,
        "seed": 0,
        "data": [
            {
                "train_dataset.type": "OpticDiscSeg",
                "train_dataset.transforms.0.type": "RandomHorizontalFlip",
                "train_dataset.transforms.1.type": "Normalize",
                "train_dataset.num_classes": 2,
                "train_dataset.mode": "train",
                "number of images": 10,
                "their names (SHA-256)": hashlib.sha256(names.encode()).hexdigest(),
            }
        ],
        "dtype": "float32",
        "teacher": {"model.type": "TinyNet", "model.num_classes": 2, "model.width": 5},
        "tensors": {
            "logits_0": {"is": "logits, output 0", "shape": [2, 32, 32]},
            "tap_0": {"is": "body.0", "shape": [5, 32, 32]},
        },
    }
    description["teacher"]["weights (SHA-256)"] = weights
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
    assert folder.name == digest[:16]
    size = 20 * (7 * 32 * 32 * 4 + 16)
    assert sum(os.path.getsize(folder / n) for n in ("logits_0.bin", "tap_0.bin", "index.bin")) == size
    start = f"teacher cache {folder}: {size / 1024:.4g} KiB when full, 20 rows (2 views of"
    assert any(line.startswith(start) for line in lines)


def test_a_warning_says_that_no_view_comes_twice(distill, lines):
    distill(cache="cache", dic={"iters": 4})
    assert any("4 iterations show no view twice (2 views of each image), so" in line for line in lines)


@manager.TRANSFORMS.add_component
class AnySize:
    """Crops images to random widths."""

    def __call__(self, data, rng):
        width = int(rng.integers(10, 30))
        data["img"], data["label"] = data["img"][:, :width], data["label"][:, :width]
        return data


def test_images_of_several_sizes_are_refused(distill):
    opts = ['train_dataset.transforms=[{"type": "AnySize"}]', "batch_size=1"]
    message = r"train_dataset.transforms.*: they give images of several sizes, such as 32 x \d+ and 32 x \d+,"
    with pytest.raises(UserError, match=message):
        distill(cache="cache", opts=opts)


def test_a_tap_that_depends_on_the_other_images_is_refused(distill):
    message = "the teacher's {attr: mixed} depends on which images are in a batch together"
    with pytest.raises(UserError, match=message):
        distill(cache="cache", features=[distilling.feature({"attr": "mixed"}, connector="auto")])


def test_a_teacher_whose_code_was_changed_is_noticed(distill, monkeypatch):
    distill(cache="cache", dic={"iters": 5})
    forward = tiny.TinyNet.forward
    monkeypatch.setattr(tiny.TinyNet, "forward", lambda self, x: [2 * one for one in forward(self, x)])
    with pytest.raises(
        UserError, match="holds other logits_0 than the teacher gives now; was its code changed"
    ):
        distill("other", cache="cache", dic={"iters": 5})


def test_a_disk_with_too_little_room_is_refused_before_training(distill, monkeypatch, lines):
    usage = type("usage", (), {"free": 100 << 10})
    monkeypatch.setattr("paddleseg.distill.teachers.cache_setup.shutil.disk_usage", lambda path: usage)
    with pytest.raises(
        UserError, match=r"^teacher_cache .*cache: 160 KiB are to be written, and 100 KiB are free"
    ):
        distill(cache="cache")
    assert not any("[TRAIN]" in line for line in lines)
    distill(cache="cache", dic={"iters": 5})  # shows only half of all


def test_a_teacher_of_whom_no_loss_compares_anything_has_no_cache(distill, tmp_path):
    distill(cache="cache", opts=["distill_loss=null"], dic={"iters": 1})
    assert not os.path.exists(tmp_path / "cache")

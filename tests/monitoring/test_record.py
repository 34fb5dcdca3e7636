"""The log for VisualDL of a distillation, and of a resumed one."""

import os

import numpy as np
import tiny

from paddleseg.monitoring.record import Record


def reader(folder):
    from visualdl import LogReader

    (file,) = (name for name in os.listdir(folder) if "vdlrecords" in name)
    return LogReader(file_path=os.path.join(folder, file))


def distill(tmp_path, root, **flags):
    path = tiny.write_yaml(
        tmp_path / "run.yml", tiny.config(root, batch_size=2, test_config={"auc_roc": True})
    )
    given = {
        "student_config": path,
        "teacher_config": path,
        "allow_random_teacher": True,
        "distill_config": tiny.write_distill_file(tmp_path / "d.py", [tiny.feature()]),
        "save_dir": str(tmp_path / "run"),
    }
    tiny.distill(**given, use_vdl=True, use_ema=True, **flags)
    return given["save_dir"]


def records(folder):
    log = reader(folder)
    tags = log.get_tags()
    pictures = {tag: [record.id for record in log.get_data("image", tag)] for tag in tags["image"]}
    (hparams,) = log.get_data("hyper_parameters", "hparam")
    return tags["scalar"], pictures, hparams.hparam


def test_a_resumed_distillation_continues_its_curves_and_pictures(tmp_path, root, lines):
    folder = distill(tmp_path, root)
    scalars, pictures, hparams = records(folder)
    parts = {
        f"Train/{name}" for name in ("loss", "CrossEntropyLoss", "KLLoss", "lr", "ips", "host_memory_MB")
    }
    scored = {
        f"Evaluate/{prefix}{name}"
        for prefix in ("", "Ema_")
        for name in ("mIoU", "Auc_roc", "IoU/class_1_optic_disc")
    }
    assert parts | scored <= set(scalars)
    assert sum(tag.startswith("Train/feature_") or "Channelwise" in tag for tag in scalars) == 1
    assert pictures == {"Validation/0_val_0": [2, 4], "Validation/4_val_4": [2, 4]}
    names = {item.name for item in hparams.hparamInfos}
    assert {"lr_scheduler/learning_rate", "distill_loss/coef/0", "batch_size", "--seed"} <= names
    assert not any("dataset" in name or "SHA" in name or "." in name for name in names)
    assert {item.name for item in hparams.metricInfos} <= set(scalars)
    curves = tiny.curves(folder)

    distill(tmp_path, root, resume_model=os.path.join(folder, "iter_2"))
    again = records(folder)
    assert (set(again[0]), again[1], again[2]) == (set(scalars), pictures, hparams)
    assert tiny.curves(folder) == curves


def test_pictures_change_no_weight(tmp_path, root, lines):
    weights = []
    for name, images in (("with", 2), ("without", 0)):
        (tmp_path / name).mkdir()
        folder = distill(tmp_path / name, root, vdl_images=images)
        assert ("image" in reader(folder).get_tags()) is (images > 0)
        weights.append(tiny.flat_arrays(os.path.join(folder, "iter_4", "model.pdparams")))
    for key, value in weights[0].items():
        np.testing.assert_array_equal(weights[1][key], value)


def test_an_error_of_a_receiver_costs_its_figure_and_not_the_training(lines):
    class Broken:
        def add_training(self, figures):
            raise ValueError("a disk\nof another kind")

    class Kept:
        def add_training(self, figures):
            self.figures = figures

    kept = Kept()
    record = Record(progress=None, bar=Broken(), history=kept)
    record.add_training({"iteration": 3})
    assert kept.figures == {"iteration": 3}
    assert lines == ["Broken: a disk of another kind; the training continues without this figure"]

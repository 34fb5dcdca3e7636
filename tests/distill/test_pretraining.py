"""Distillation without labels as the pretraining of a backbone, and the training that follows it."""

import os

import cv2
import distilling
import numpy as np
import pytest
import tiny
from running import arrays

from paddleseg.errors import UserError

MODEL = {"type": "DeepLabV3P", "aspp_out_channels": 8, "num_classes": 2}
BACKBONE = {"type": "MobileNetV2_x0_25"}
LAST_MAP = {"output_of": "backbone", "index": 3}


@pytest.fixture
def config(tmp_path):
    """Return a config without labels as a dict, by default of a model with a backbone; no val_dataset."""
    rng = np.random.default_rng(4)
    (tmp_path / "images").mkdir()
    for i in range(6):
        image = rng.integers(0, 255, (tiny.SIZE, tiny.SIZE, 3), "uint8")
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), image)
    images = {"type": "UnlabeledImages", "dataset_root": str(tmp_path / "images")}

    def build(student=LAST_MAP, model=None, **changes):
        dic = tiny.config("nowhere", model or {**MODEL, "backbone": BACKBONE}, distill=False)
        for section in ("train_dataset", "loss", "val_dataset"):
            del dic[section]
        feature = distilling.feature(student, "FitNetLoss", teacher="body.0", connector="auto")
        dic["unlabeled_dataset"] = {**images, "transforms": [{"type": "Normalize"}]}
        dic["distill"] = {"features": [feature], "unlabeled_share": 1}
        return {**dic, **changes}

    return build


@pytest.fixture
def pretrain(tmp_path, teacher):
    """Train a config, a dict, under a `TinyNet`; returns the folder of the run."""
    return lambda dic, **options: distilling.distill(tmp_path, dic, [teacher()], "pretraining", **options)


def test_a_backbone_is_pretrained_without_labels_and_then_trained_with_them(
    config, pretrain, root, tmp_path, lines
):
    folder = pretrain(config())
    assert list(distilling.logged_losses(folder)[0]) == ["loss", "backbone_3_FitNetLoss"]
    backbone = os.path.join(folder, "iter_4", "backbone.pdparams")
    assert any(line.endswith(f"model.backbone.pretrained={backbone}") for line in lines)
    saved, whole = tiny.flat_arrays(backbone), arrays(folder, "iter_4")
    assert set(saved) == {key[len("backbone.") :] for key in whole if key.startswith("backbone.")}
    frozen = {"type": "PolynomialDecay", "learning_rate": 0.0}
    model = {**MODEL, "backbone": {**BACKBONE, "pretrained": backbone}}
    path = tiny.write_yaml(tmp_path / "after.yml", tiny.config(root, model, False, lr_scheduler=frozen))
    tiny.train(path, save_dir=str(tmp_path / "after"), iters=1, no_eval=True)
    after = arrays(str(tmp_path / "after"), "iter_1")
    trained = [key for key in saved if not key.endswith(("_mean", "_variance"))]
    assert all((after[f"backbone.{key}"] == saved[key]).all() for key in trained)


def test_what_no_loss_reaches_stays_as_it_was_and_is_not_evaluated(config, pretrain, root, lines):
    dataset = tiny.config(root)["val_dataset"]
    dic = config(val_dataset=dataset, optimizer={"type": "AdamW"})
    folder = pretrain(dic, save_interval=2)
    two, four = (arrays(folder, f"iter_{n}") for n in (2, 4))
    trained = [key for key in two if not key.endswith(("_mean", "_variance"))]
    changed = {key.split(".")[0] for key in trained if (two[key] != four[key]).any()}
    assert changed == {"backbone"}
    assert not os.path.isdir(os.path.join(folder, "best_model"))
    (said,) = [line for line in lines if "an mIoU would mean nothing" in line]
    assert "pretraining.yml:" in said
    assert ": distill: no loss reaches" in said
    assert "such as head.decoder.conv.bias" in said
    with pytest.raises(UserError, match="mean nothing; leave out do_eval"):
        pretrain(dic, do_eval=True)


def test_logits_that_a_feature_trains_are_evaluated(config, pretrain, root):
    logits = distilling.feature({"attr": "logit_list", "index": 0}, "FitNetLoss")
    dic = config(model={"type": "TinyNet", "num_classes": 2}, val_dataset=tiny.config(root)["val_dataset"])
    dic["distill"]["features"] = [logits]
    folder = pretrain(dic)
    assert os.path.isfile(os.path.join(folder, "best_model", "model.pdparams"))
    assert not os.path.exists(os.path.join(folder, "best_model", "backbone.pdparams"))


def test_a_resumed_pretraining_ends_with_the_same_weights(config, pretrain, tmp_path, teacher):
    whole = pretrain(config(), save_interval=2)
    again = {"resume_model": os.path.join(whole, "iter_2")}
    rest = distilling.distill(tmp_path, config(), [teacher()], "rest", **again)
    one, other = (arrays(folder, "iter_4") for folder in (whole, rest))
    assert all((value == other[key]).all() for key, value in one.items())


def test_a_cache_serves_images_without_labels(config, pretrain, tmp_path, lines):
    for _ in range(2):
        pretrain(config(), teacher_cache=str(tmp_path / "cache"), cache_views=1)
    assert any("16 of 16 rows (100.0%) were read" in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "after.yml: the section 'train_dataset' is missing"),
        ({"train_dataset": True}, "after.yml: the section 'loss' is missing"),
    ],
)
def test_training_by_labels_refuses_a_config_without_them(config, root, tmp_path, changes, message):
    sections = {key: tiny.config(root)[key] for key in changes}
    path = tiny.write_yaml(tmp_path / "after.yml", config(**sections))
    with pytest.raises(UserError, match=message):
        tiny.train(path, save_dir=str(tmp_path / "after"))


def test_a_share_below_one_needs_labels(config, pretrain):
    dic = config()
    dic["distill"]["unlabeled_share"] = 0.5
    with pytest.raises(UserError, match="the key 'train_dataset' is missing\n.*the key 'loss' is missing"):
        pretrain(dic)

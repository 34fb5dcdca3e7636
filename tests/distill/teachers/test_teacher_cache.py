"""Distillations that keep their teachers' outputs, within this process."""

import json
import os
import re

import cv2
import distilling
import numpy as np
import paddle
import pytest
import tiny
from exporting import converts
from running import arrays, assert_same

from paddleseg.cvlibs import manager
from paddleseg.distill.teachers import Teacher
from paddleseg.distill.teachers.cache_files import CacheFiles
from paddleseg.distill.teachers.cached_teacher import CachedTeacher
from paddleseg.errors import UserError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A tiny set of ten images to train on, written anew since a test spoils it."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("views"), train=10)


@pytest.fixture
def distill(tmp_path, data):
    """A function that distils a small model for some epochs of five batches; returns the run's folder."""

    def teacher(model, k):
        paddle.seed(20 + k)
        component = manager.MODELS[model]
        weights = tiny.save_weights(tmp_path / f"teacher_{k}.pdparams", component(width=5 + k))
        section = {"type": model, "num_classes": 2, "width": 5 + k, "pretrained": weights}
        return tiny.write_yaml(tmp_path / f"teacher_{k}.yml", {"model": section, "imports": ["tiny"]})

    def run(name="run", cache=None, features=(), model="TinyNet", dic=None, teachers=1, **flags):
        section = {"type": model, "num_classes": 2}
        config = {**tiny.config(data, model=section, batch_size=2, iters=12), **(dic or {})}
        config["distill"] = {"features": list(features), **config.get("distill", {})}
        config["imports"] = ["tiny", "distilling", "test_teacher_cache"]
        options = {
            "allow_random_teacher": True,
            "no_eval": True,
            "save_interval": 4,
            "cache_views": 2,
            "teacher_cache": None if cache is None else str(tmp_path / cache),
            "cache_dtype": "float32",
            **flags,
        }
        paths = [teacher(model, k) for k in range(teachers)]
        return distilling.distill(tmp_path, config, paths, name, **options)

    return run


@pytest.fixture
def computed(monkeypatch):
    """The number of images of each run of a teacher whose answers are kept."""
    counts = []
    compute = CachedTeacher._compute

    def counting(self, images, missing):
        counts.append(len(missing))
        compute(self, images, missing)

    monkeypatch.setattr(CachedTeacher, "_compute", counting)
    return counts


def losses(folder):
    """Return the losses of each iteration, {name: [number, ...]}."""
    logged = distilling.logged_losses(folder)
    return {name: [one[name] for one in logged] for name in logged[0]}


def folders(tmp_path, cache="cache"):
    return sorted(os.listdir(tmp_path / cache))


UNLABELED = {
    "unlabeled_dataset": {"type": "UnlabeledImages", "transforms": [{"type": "Normalize"}]},
    "distill": {"unlabeled_share": 0.5},
}


@pytest.mark.parametrize("case", ["full", "head", "features", "confidence", "unlabeled"])
def test_twenty_steps_are_those_without_a_cache(distill, data, computed, case):
    feature = distilling.feature("body.0", "SegChannelwiseLoss", connector="auto")
    loss = {"types": [{"type": "KLLoss"}], "coef": [3], **({"at": "head"} if case == "head" else {})}
    dic = {"iters": 20, "distill_loss": loss}
    features = [feature] if case == "features" else []
    if case == "confidence":
        dic["distill"] = {"teacher_weighting": "confidence"}
    if case == "unlabeled":
        dic.update(UNLABELED)
        dic["unlabeled_dataset"] = {
            **dic["unlabeled_dataset"],
            "dataset_root": os.path.join(data, "JPEGImages"),
        }
    given = {
        "model": "StridedNet",
        "features": features,
        "dic": dic,
        "teachers": 1 + (case == "confidence"),
        "cache_views": 1 + (case != "unlabeled"),
    }
    plain, cached = distill("plain", **given), distill("cached", cache="cache", **given)
    assert 0 < len(computed) < 20 * given["teachers"]
    for name, values in losses(plain).items():
        assert len(values) == 20
        np.testing.assert_allclose(losses(cached)[name], values, rtol=1e-4, err_msg=name)
    for key, value in arrays(plain, "iter_20").items():
        np.testing.assert_allclose(arrays(cached, "iter_20")[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


def test_float16_changes_little(distill):
    given = {"model": "StridedNet", "dic": {"iters": 20}}
    plain, cached = (
        distill("plain", **given),
        distill("cached", cache="cache", cache_dtype="float16", **given),
    )
    for name, values in losses(plain).items():
        np.testing.assert_allclose(losses(cached)[name], values, rtol=1e-3, err_msg=name)
    assert losses(cached)["KLLoss"] != losses(plain)["KLLoss"]


def test_a_second_run_computes_nothing_and_comes_to_the_same(distill, tmp_path, lines, computed):
    first = distill("first", cache="cache", cache_dtype="float16")
    assert sum(computed) == 20  # ten images in two views, though twelve iterations show more
    assert any("0 rows are there" in line for line in lines)
    assert any("teacher cache: 4 of 24 rows (16.7%) were read, the others computed" in line for line in lines)
    del lines[:], computed[:]
    second = distill("second", cache="cache", cache_dtype="float16", num_workers=2, log_iters=4)
    assert computed == []
    assert any("20 rows are there" in line for line in lines)
    assert sum("cache_hits: 100.0% |" in line for line in lines) == 3
    assert len(folders(tmp_path)) == 1
    assert_same(arrays(first, "iter_12"), arrays(second, "iter_12"))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_run_that_is_resumed_reads_and_comes_to_the_same(distill, tmp_path, computed, dtype):
    whole = distill("whole", cache="one", cache_dtype=dtype)
    del computed[:]
    broken = distill("broken", cache="other", cache_dtype=dtype)
    assert len(computed) == 10
    for name in ("iter_8", "iter_12"):
        os.rename(os.path.join(broken, name), tmp_path / name)
    distill("broken", cache="other", cache_dtype=dtype, resume_model="auto")
    assert len(computed) == 10
    assert_same(arrays(whole, "iter_12"), arrays(broken, "iter_12"))


def test_filling_goes_on_where_it_was(distill, lines):
    compute, left = CachedTeacher._compute, [3]

    def killed(self, images, missing):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        compute(self, images, missing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CachedTeacher, "_compute", killed)
        with pytest.raises(KeyboardInterrupt):
            distill("broken", cache="cache")
    assert any("0 of 8 rows (0.0%) were read" in line for line in lines)
    again = distill("again", cache="cache")
    assert any("; 6 rows are there" in line for line in lines)
    whole = distill("whole", cache="other")
    assert_same(arrays(whole, "iter_12"), arrays(again, "iter_12"))


def test_what_is_told_of_the_folder(distill, tmp_path, lines):
    distill(cache="cache", features=[distilling.feature("body.0", connector="auto")])
    (name,) = folders(tmp_path)
    folder = tmp_path / "cache" / name
    about = json.loads((folder / "cache.json").read_text())
    assert about["tensors"] == {
        "logits_0": {"is": "logits, output 0", "shape": [2, 32, 32]},
        "tap_0": {"is": "body.0", "shape": [5, 32, 32]},
    }
    size = 20 * (7 * 32 * 32 * 4 + 16)
    assert sum(os.path.getsize(folder / n) for n in ("logits_0.bin", "tap_0.bin", "index.bin")) == size
    told = (
        rf"teacher cache {re.escape(str(folder))}: {size / 1024:.4g} KiB when full, of 20 rows \(2 views of"
    )
    assert any(re.search(told, line) for line in lines)


def test_where_no_view_comes_twice_it_is_said(distill, lines):
    distill(cache="cache", dic={"iters": 4})
    assert any("4 iterations show no view twice (2 views of each image), so" in line for line in lines)


NORMALIZED = [{"type": "Normalize"}]
OTHERS = {
    "seed": {"seed": 3},
    "views": {"cache_views": 3},
    "dtype": {"cache_dtype": "float16"},
    "tap": {"features": [distilling.feature("body.0", connector="auto")]},
    "no logits": {
        "features": [distilling.feature("body.0", connector="auto")],
        "opts": ["distill_loss=null"],
    },
    "transforms": {"opts": [f"train_dataset.transforms={json.dumps(NORMALIZED)}"]},
    "teacher": {"teacher_opts": [["model.pretrained=null"]]},
    "mixed": {"dic": UNLABELED},
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_changes_the_outputs_has_another_folder(distill, data, tmp_path, case):
    short = {"iters": 1}
    distill(cache="cache", dic=short)
    given = dict(OTHERS[case])
    dic = {**short, **given.pop("dic", {})}
    if case == "mixed":
        dic["unlabeled_dataset"] = {**dic["unlabeled_dataset"], "dataset_root": data}
    distill("other", cache="cache", dic=dic, **given)
    assert len(folders(tmp_path)) == 2


def test_what_does_not_has_the_same(distill, tmp_path, data):
    distill(cache="cache", dic={"iters": 1})
    moved = str(tmp_path / "moved")
    os.symlink(data, moved)
    opts = [
        f"train_dataset.dataset_root={moved}",
        "batch_size=5",
        "distill_loss.at=head",
        "optimizer.momentum=0",
    ]
    distill("other", cache="cache", dic={"iters": 1}, opts=opts, num_workers=1)
    assert len(folders(tmp_path)) == 1


def test_the_dtype_decides_the_outcome(distill):
    folder = distill(cache="cache", dic={"iters": 4})
    told = "--teacher_cache: dtype: float32 then, "
    for changed in ({"cache": "cache", "cache_dtype": "float16"}, {"cache": None}):
        with pytest.raises(UserError, match=told):
            distill(dic={"iters": 4}, resume_model=os.path.join(folder, "iter_4"), **changed)


def test_another_sample_in_the_place_of_a_damaged_one_does_not_poison_the_cache(
    distill, tmp_path, data, computed, lines
):
    path = os.path.join(data, "JPEGImages", "train_3.jpg")
    with open(path, "rb") as file:
        image = file.read()
    asked = []
    at_head = CachedTeacher.at_head

    def checking(self, images, keys=None):
        logits, taps = at_head(self, images, keys)
        expected, _ = self._teacher.at_head(images)
        np.testing.assert_allclose(logits[0].numpy(), expected[0].numpy(), rtol=1e-5, atol=1e-5)
        asked.extend(keys)
        return logits, taps

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CachedTeacher, "at_head", checking)
        try:
            with open(path, "wb") as file:
                file.write(b"damaged")
            distill("damaged", cache="cache", max_bad_samples=1)
            assert 3 not in {index for _, index, _ in asked}
        finally:
            with open(path, "wb") as file:
                file.write(image)
        assert sum(computed) == 18
        asked.clear()
        distill("mended", cache="cache")
        assert {index for _, index, _ in asked} == set(range(10))
        assert sum(computed) == 20
        # The same name, another image.
        _, encoded = cv2.imencode(".jpg", np.full((tiny.SIZE, tiny.SIZE, 3), 9, np.uint8))
        try:
            with open(path, "wb") as file:
                file.write(encoded.tobytes())
            distill("replaced", cache="cache")
        finally:
            with open(path, "wb") as file:
                file.write(image)
        assert sum(computed) == 22
    assert len(folders(tmp_path)) == 1


def test_an_evaluation_asks_the_teacher_himself(distill, monkeypatch, computed):
    pytest.importorskip("visualdl")
    calls = []
    call = Teacher.__call__

    def counting(self, images):
        calls.append(len(images))
        return call(self, images)

    monkeypatch.setattr(Teacher, "__call__", counting)
    distill(cache="cache")
    before = sum(computed)
    distill("other", cache="cache", no_eval=False, use_vdl=True)
    assert sum(computed) == before


@manager.TRANSFORMS.add_component
class AnySize:
    """Cuts off as much as it likes."""

    def __call__(self, data, rng):
        width = int(rng.integers(10, 30))
        data["img"], data["label"] = data["img"][:, :width], data["label"][:, :width]
        return data


@manager.TRANSFORMS.add_component
class Unseeded:
    """Draws what no seed decides."""

    def __call__(self, data):
        data["img"] = data["img"] + np.random.default_rng().random()
        return data


def test_images_of_several_sizes_are_refused(distill):
    opts = ['train_dataset.transforms=[{"type": "AnySize"}]', "batch_size=1"]
    told = (
        r"train_dataset.transforms.*: they give images of several sizes, such as 32 x \d+ and 32 x \d+, and"
    )
    with pytest.raises(UserError, match=told):
        distill(cache="cache", opts=opts)


def test_a_transform_that_no_seed_decides_makes_misses_not_mistakes(distill, lines, computed):
    distill(cache="cache", opts=['train_dataset.transforms=[{"type": "Unseeded"}]'])
    assert sum(computed) == 24
    assert sum("a row is of another image than this one" in line for line in lines) == 1


def test_a_tap_that_other_images_decide_with_is_refused(distill):
    told = "the teacher's {attr: mixed} depends on which images are in a batch together"
    with pytest.raises(UserError, match=told):
        distill(cache="cache", features=[distilling.feature({"attr": "mixed"}, connector="auto")])


def test_a_teacher_whose_code_was_changed_is_noticed(distill, monkeypatch):
    distill(cache="cache", dic={"iters": 5})
    forward = tiny.TinyNet.forward
    monkeypatch.setattr(tiny.TinyNet, "forward", lambda self, x: [2 * one for one in forward(self, x)])
    with pytest.raises(
        UserError, match="holds other logits_0 than the teacher gives now; was its code changed"
    ):
        distill("other", cache="cache", dic={"iters": 5})


def test_what_an_adaptor_names_is_kept_for_its_file_alone(distill, tmp_path):
    given = {"cache": "cache", "dic": {"iters": 1}, "opts": ["model.width=5"]}
    for name, layer in (("one", "body.0"), ("two", "body.1"), ("three", "body.0")):
        path = tiny.write_distill_file(tmp_path / f"{name}.py", [tiny.feature(0)], layer=layer)
        distill(name, distill_config=path, **given)
    assert len(folders(tmp_path)) == 2
    for name, layer in (("four", "body.1"), ("five", "body.2")):
        path = tiny.write_distill_file(tmp_path / f"{name}.py", [], layer=layer)
        distill(name, distill_config=path, **given)
    assert len(folders(tmp_path)) == 3


def test_views_are_needed(distill):
    with pytest.raises(UserError, match="^teacher_cache needs cache_views K: without it every epoch"):
        distill(cache="cache", cache_views=None)


def test_too_small_a_disk_is_told_at_once(distill, monkeypatch, lines):
    usage = type("usage", (), {"free": 100 << 10})
    monkeypatch.setattr("paddleseg.distill.teachers.teacher_cache.shutil.disk_usage", lambda path: usage)
    with pytest.raises(
        UserError, match=r"--teacher_cache .*cache: 160 KiB are to be written, and 100 KiB are free"
    ):
        distill(cache="cache")
    assert not any("[TRAIN]" in line for line in lines)
    distill(cache="cache", dic={"iters": 5})  # shows but half of all


def test_a_teacher_who_gives_nothing_keeps_nothing(distill, tmp_path, lines):
    distill(cache="cache", opts=["distill_loss=null"], dic={"iters": 1})
    assert not os.path.exists(tmp_path / "cache")


def _scheduled(teacher_index, **schedule):
    feature = distilling.feature("body.0", "SegChannelwiseLoss", connector="auto")
    return {**feature, "teacher_index": teacher_index, "schedule": schedule}


COMBINED = {
    "two teachers at the head, unlabeled, accumulated": {
        "teachers": 2,
        "accumulate_steps": 2,
        "dic": {
            "distill_loss": {"types": [{"type": "KLLoss"}], "coef": [3], "at": "head"},
            "unlabeled_dataset": UNLABELED["unlabeled_dataset"],
            "distill": {"teacher_weighting": "confidence", "unlabeled_share": 0.5},
        },
    },
    "teachers that rest": {
        "teachers": 2,
        "features": [_scheduled(0, end_iter=6), _scheduled(1, start_iter=9, warmup_iters=3)],
        "opts": ["distill_loss=null"],
    },
    "under onnxruntime": {"teacher_engine": "onnxruntime", "cache_dtype": "float16", "num_workers": 1},
}


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=converts) if c == "under onnxruntime" else c for c in COMBINED]
)
def test_filling_that_is_killed_and_resumed_comes_to_the_same(
    distill, data, lines, case, monkeypatch, tmp_path
):
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "home"))
    given = {"model": "StridedNet", "cache_views": 1, **COMBINED[case]}
    dic = given["dic"] = {"iters": 20, **given.get("dic", {})}
    if "unlabeled_dataset" in dic:
        dic["unlabeled_dataset"] = {
            **dic["unlabeled_dataset"],
            "dataset_root": os.path.join(data, "JPEGImages"),
        }
    whole, plain = distill("whole", cache="one", **given), distill("plain", **given)
    tolerance = 1e-4 if given.get("cache_dtype") is None else 1e-3
    for name, values in losses(plain).items():
        np.testing.assert_allclose(losses(whole)[name], values, rtol=tolerance, err_msg=name)
    asked = sum("[TRAIN]" in line and "cache_hits" in line for line in lines)
    assert asked == (17 if case == "teachers that rest" else 20)
    write, left = CacheFiles.write, [7]

    def killed(self, *row):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        write(self, *row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CacheFiles, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            distill("broken", cache="other", save_interval=1, **given)
    distill("broken", cache="other", save_interval=1, resume_model="auto", **given)
    assert_same(arrays(whole, "iter_20"), arrays(str(tmp_path / "broken"), "iter_20"))

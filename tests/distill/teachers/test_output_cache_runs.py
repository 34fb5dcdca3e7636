"""Whole distillations with a cache train the same students as without one."""

import os
import pathlib

import cv2
import distilling
import numpy as np
import pytest
import tiny
from distilling import logged_losses
from exporting import converts
from running import arrays, assert_same

from paddleseg.cvlibs import manager
from paddleseg.distill.teachers.output_cache import OutputCache
from paddleseg.errors import UserError


def half_unlabeled(data):
    """Return what a config changes for batches half of which have no label."""
    images = os.path.join(data, "JPEGImages")
    transforms = [{"type": "Normalize"}]
    section = {"type": "UnlabeledImages", "dataset_root": images, "transforms": transforms}
    return {"unlabeled_dataset": section, "distill": {"unlabeled_share": 0.5}}


def assert_close_losses(run, other, rtol):
    ours, theirs = logged_losses(run), logged_losses(other)
    assert len(ours) == len(theirs) == 20
    for one, two in zip(ours, theirs):
        assert two == pytest.approx(one, rel=rtol)


@pytest.mark.parametrize("case", ["full", "head", "features", "confidence", "unlabeled"])
def test_twenty_steps_are_those_without_a_cache(distill, data, stored, case):
    feature = distilling.feature("body.0", "SegChannelwiseLoss", connector="auto")
    loss = {"types": [{"type": "KLLoss"}], "coef": [3], **({"at": "head"} if case == "head" else {})}
    dic = {"iters": 20, "distill_loss": loss}
    features = [feature] if case == "features" else []
    if case == "confidence":
        dic["distill"] = {"teacher_weighting": "confidence"}
    if case == "unlabeled":
        dic.update(half_unlabeled(data))
    given = {
        "model": "StridedNet",
        "features": features,
        "dic": dic,
        "teachers": 1 + (case == "confidence"),
        "cache_views": 1 + (case != "unlabeled"),
    }
    plain, cached = distill("plain", **given), distill("cached", cache="cache", **given)
    assert 0 < len(stored) < 20 * 2 * given["teachers"]
    assert_close_losses(plain, cached, 1e-4)
    for key, value in arrays(plain, "iter_20").items():
        np.testing.assert_allclose(arrays(cached, "iter_20")[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


def test_float16_changes_little(distill):
    given = {"model": "StridedNet", "dic": {"iters": 20}}
    plain = distill("plain", **given)
    cached = distill("cached", cache="cache", cache_dtype="float16", **given)
    assert_close_losses(plain, cached, 1e-3)
    assert logged_losses(plain) != logged_losses(cached)


def test_a_second_run_computes_nothing_and_comes_to_the_same(distill, tmp_path, lines, stored):
    first = distill("first", cache="cache", cache_dtype="float16")
    assert len(stored) == 20  # ten images in two views, though twelve iterations show more
    assert any("; 0 rows are stored" in line for line in lines)
    total = "teacher cache: 4 of 24 rows (16.7%) were read; the batches of the others were computed"
    assert total in lines
    del lines[:], stored[:]
    second = distill("second", cache="cache", cache_dtype="float16", num_workers=2, log_iters=4)
    assert stored == []
    assert any("; 20 rows are stored" in line for line in lines)
    assert sum("cache_hits: 100.0% |" in line for line in lines) == 3
    assert len(os.listdir(tmp_path / "cache")) == 1
    assert_same(arrays(first, "iter_12"), arrays(second, "iter_12"))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_run_that_is_resumed_reads_and_comes_to_the_same(distill, tmp_path, stored, dtype):
    whole = distill("whole", cache="one", cache_dtype=dtype)
    del stored[:]
    broken = distill("broken", cache="other", cache_dtype=dtype)
    assert len(stored) == 20
    for name in ("iter_8", "iter_12"):
        os.rename(os.path.join(broken, name), tmp_path / name)
    distill("broken", cache="other", cache_dtype=dtype, resume_model="auto")
    assert len(stored) == 20
    assert_same(arrays(whole, "iter_12"), arrays(broken, "iter_12"))


def test_filling_goes_on_where_it_was(distill, lines, killed_after):
    with killed_after(6):
        distill("broken", cache="cache")
    assert any("0 of 8 rows (0.0%) were read" in line for line in lines)
    again = distill("again", cache="cache")
    assert any("; 6 rows are stored" in line for line in lines)
    whole = distill("whole", cache="other")
    assert_same(arrays(whole, "iter_12"), arrays(again, "iter_12"))


def test_the_dtype_decides_the_outcome(distill):
    folder = distill(cache="cache", dic={"iters": 4})
    message = "--teacher_cache: dtype: float32 then, "
    for changed in ({"cache": "cache", "cache_dtype": "float16"}, {"cache": None}):
        with pytest.raises(UserError, match=message):
            distill(dic={"iters": 4}, resume_model=os.path.join(folder, "iter_4"), **changed)


@pytest.fixture
def image(data):
    """One of the images to train on; the test may change the file."""
    path = pathlib.Path(data, "JPEGImages", "train_3.jpg")
    content = path.read_bytes()
    yield path
    path.write_bytes(content)


def test_a_sample_in_place_of_a_damaged_one_does_not_spoil_the_cache(distill, tmp_path, image, stored):
    content = image.read_bytes()
    seen = []
    cached = OutputCache.__call__

    def checking(self, images, keys, compute):
        logits, taps = cached(self, images, keys, compute)
        expected, _ = compute(images)
        np.testing.assert_allclose(logits[0].numpy(), expected[0].numpy(), rtol=1e-5, atol=1e-5)
        seen.extend(index for _, index, _ in keys)
        return logits, taps

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutputCache, "__call__", checking)
        image.write_bytes(b"damaged")
        distill("damaged", cache="cache", max_bad_samples=1)
        assert 3 not in seen
        assert len(stored) == 18
        seen.clear()
        image.write_bytes(content)
        distill("mended", cache="cache")
        assert set(seen) == set(range(10))
        assert len(stored) == 20
        # The same name, another image.
        cv2.imwrite(str(image), np.full((tiny.SIZE, tiny.SIZE, 3), 9, np.uint8))
        distill("replaced", cache="cache")
        assert len(stored) == 22
    assert len(os.listdir(tmp_path / "cache")) == 1


def test_an_evaluation_does_not_use_the_cache(distill, stored):
    pytest.importorskip("visualdl")
    distill(cache="cache")
    del stored[:]
    distill("other", cache="cache", no_eval=False, use_vdl=True)
    assert stored == []


@manager.TRANSFORMS.add_component
class Unseeded:
    """Draws what no seed decides."""

    def __call__(self, data):
        data["img"] = data["img"] + np.random.default_rng().random()
        return data


def test_a_transform_that_no_seed_decides_makes_misses_not_mistakes(distill, lines, stored):
    distill(cache="cache", opts=['train_dataset.transforms=[{"type": "Unseeded"}]'])
    assert len(stored) == 24
    assert sum("a stored row belongs to another image" in line for line in lines) == 1


def _scheduled(teacher_index, **schedule):
    feature = distilling.feature("body.0", "SegChannelwiseLoss", connector="auto")
    return {**feature, "teacher_index": teacher_index, "schedule": schedule}


COMBINED = {
    "two teachers at the head, unlabeled, accumulated": {
        "teachers": 2,
        "accumulate_steps": 2,
        "dic": {
            "distill_loss": {"types": [{"type": "KLLoss"}], "coef": [3], "at": "head"},
            "distill": {"teacher_weighting": "confidence"},
        },
    },
    "idle teachers": {
        "teachers": 2,
        "features": [_scheduled(0, end_iter=6), _scheduled(1, start_iter=9, warmup_iters=3)],
        "opts": ["distill_loss=null"],
    },
    "under onnxruntime": {"teacher_engine": "onnxruntime", "cache_dtype": "float16", "num_workers": 1},
}


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=converts) if c == "under onnxruntime" else c for c in COMBINED]
)
@pytest.mark.usefixtures("home")
def test_filling_that_is_killed_and_resumed_comes_to_the_same(
    distill, data, lines, case, tmp_path, killed_after
):
    given = {"model": "StridedNet", "cache_views": 1, **COMBINED[case]}
    dic = given["dic"] = {"iters": 20, **given.get("dic", {})}
    if "unlabeled" in case:
        more = half_unlabeled(data)
        given["dic"] = {**more, **dic, "distill": {**more["distill"], **dic["distill"]}}
    whole, plain = distill("whole", cache="one", **given), distill("plain", **given)
    tolerance = 1e-4 if given.get("cache_dtype") is None else 1e-3
    assert_close_losses(plain, whole, tolerance)
    with_lookups = sum("[TRAIN]" in line and "cache_hits" in line for line in lines)
    assert with_lookups == (17 if case == "idle teachers" else 20)
    with killed_after(7):
        distill("broken", cache="other", save_interval=1, **given)
    distill("broken", cache="other", save_interval=1, resume_model="auto", **given)
    assert_same(arrays(whole, "iter_20"), arrays(str(tmp_path / "broken"), "iter_20"))

"""Trainings whose images are cached, or normalised by the device, have the same weights as others."""

import sys

import pytest
import tiny
from running import arrays, assert_same, config, train

from paddleseg import parallel
from paddleseg.errors import UserError

linux = pytest.mark.skipif(sys.platform != "linux", reason="cache_images works on Linux alone")


@linux
@pytest.mark.parametrize("place", ["ram", "disk"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_weights_are_the_same_to_the_last_bit(tmp_path, root, lines, place, num_workers):
    plain = train(tmp_path, config(root), save_interval=3)
    options = {
        "cache_images": place,
        "cache_images_dir": str(tmp_path / "cache") if place == "disk" else None,
    }
    cached = train(tmp_path, config(root), "cached", num_workers=num_workers, save_interval=3, **options)
    assert_same(arrays(plain), arrays(cached))
    (line,) = [line for line in lines if "cache_images" in line]
    assert "stores decoded samples of train_dataset, val_dataset" in line
    options.update(resume_model=str(tmp_path / "cached" / "iter_3"), save_interval=3)
    assert_same(arrays(plain), arrays(train(tmp_path, config(root), "resumed", **options)))
    line = [line for line in lines if "cache_images" in line][-1]
    assert ("15 of 15 samples are there already" in line) == (place == "disk")


def test_weights_are_the_same_where_the_device_normalises(tmp_path, root, lines, monkeypatch):
    plain = train(tmp_path, config(root))
    monkeypatch.setattr(parallel, "on_cpu", lambda: False)
    assert_same(arrays(plain), arrays(train(tmp_path, config(root), "device")))


@pytest.mark.parametrize(
    ("option", "value"), [("cache_images_limit", 2**20), ("cache_images_dir", "somewhere")]
)
def test_options_of_a_cache_that_is_not_used_are_refused(tmp_path, root, option, value):
    with pytest.raises(UserError, match=f"{option} has no effect without cache_images"):
        train(tmp_path, tiny.config(root), **{option: value})

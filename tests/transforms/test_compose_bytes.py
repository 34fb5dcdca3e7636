"""Images stay bytes as long as the transforms allow; the results are the same to the last bit."""

import cv2
import numpy as np
import pytest
from transform_samples import ARRAYS, make

from paddleseg import transforms as T
from paddleseg.cvlibs import manager
from paddleseg.transforms import Compose
from paddleseg.transforms.common import declared
from paddleseg.transforms.reading import read_image, read_mask

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def plain(files, transforms, seed, normalize=True):
    """Return what PaddleSeg's `Compose` returns: it has float32 from the first step to the last."""
    rng = np.random.default_rng(seed)
    image = cv2.cvtColor(read_image(files["img"]).astype(np.float32), cv2.COLOR_BGR2RGB)
    data = {"img": image, "label": read_mask(files["label"]), "gt_fields": ["label"], "trans_info": []}
    for transform in transforms:
        data = transform(data, rng=rng)
    image = data["img"].astype(np.float32)
    if normalize:
        image = (image / 255.0 - np.float32(MEAN)) / np.float32(STD)
    return image.transpose(2, 0, 1), data["label"], data["trans_info"]


CHAINS = [
    # Other tests register transforms, too.
    *([name] for name in manager.TRANSFORMS if manager.TRANSFORMS[name].__module__.startswith("paddleseg.")),
    ["RandomPaddingCrop", "RandomHorizontalFlip", "RandomVerticalFlip"],
    ["RandomHorizontalFlip", "RandomDistort", "RandomNoise", "RandomBlur"],
    ["RandomCenterCrop", "RandomHorizontalFlip", "ResizeStepScaling", "RandomPaddingCrop"],
]


@pytest.mark.parametrize("value", [127.5, 7, -3, 300])
@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "-".join(chain))
def test_no_bit_depends_on_bytes(files, chain, value):
    padded = {"im_padding_value": value}
    transforms = [
        make(name, **(padded if hasattr(make(name), "im_padding_value") and name != "ScalePadding" else {}))
        for name in chain
    ]
    for crop in (transform for transform in transforms if hasattr(transform, "crop_size")):
        crop.crop_size = (40, 45) if value == 7 else (30, 20)
    for seed in range(6):
        for last in ([], [T.Normalize(MEAN, STD)]):
            got = Compose([*transforms, *last])(files, np.random.default_rng(seed))
            image, label, trans_info = plain(files, transforms, seed, bool(last))
            assert got["img"].dtype == np.float32
            assert got["img"].tobytes() == image.tobytes()
            np.testing.assert_array_equal(got["label"], label)
            assert got["trans_info"] == trans_info


def test_bytes_survive_flips_and_crops(files):
    compose = Compose([T.RandomPaddingCrop([20, 20]), T.RandomHorizontalFlip(), T.Normalize(MEAN, STD)])
    data = compose.apply_rest(
        compose.apply_leading(compose.read(files, ""), ""), "", np.random.default_rng(0)
    )
    assert data["img"].dtype == np.uint8
    deferred = compose.defer_normalize(dict(data))
    assert deferred["img"].shape == (20, 20, 3)
    np.testing.assert_array_equal(deferred["normalize"], np.float32([MEAN, STD]))
    got = compose.finish(dict(data))["img"]
    image = (deferred["img"].astype(np.float32) / np.float32(255) - deferred["normalize"][0]) / deferred[
        "normalize"
    ][1]
    assert got.tobytes() == image.transpose(2, 0, 1).tobytes()


def test_grey_images_have_one_channel(files):
    compose = Compose([T.RandomHorizontalFlip(), T.Normalize()], img_channels=1)
    got = compose(files, np.random.default_rng(1))["img"]
    grey = np.stack([read_image(files["img"], 1)] * 2)
    expected = (grey.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    assert got.tobytes() in {expected[0].tobytes(), np.ascontiguousarray(expected[0][:, ::-1]).tobytes()}
    assert got.shape == (1, *ARRAYS["image"].shape[:2])


def test_a_users_transform_gets_arrays_that_it_may_change(files):
    class Own:
        def __call__(self, data):
            assert data["img"].dtype == np.float32
            data["img"] *= 0.5
            data["label"][:] = 1
            return data

    compose = Compose([Own()])
    data = compose.read(files, "")
    for key in ("img", "label"):
        data[key].flags.writeable = False
    got = compose.apply_rest(dict(data), "", None)
    np.testing.assert_array_equal(got["img"], data["img"] / np.float32(2))
    assert (got["label"] == 1).all()
    assert not (data["label"] == 1).all()


def test_a_derived_class_with_its_own_call_does_not_inherit_what_a_class_declares():
    class Derived(T.RandomHorizontalFlip):
        pass

    class Changed(T.ResizeByLong):
        def __call__(self, data, rng=None):
            return data

    class Said(Changed):
        fixed = True

    assert declared(Derived(), "takes_bytes")
    assert declared(T.ResizeByLong(9), "fixed")
    assert not declared(Changed(9), "fixed")
    assert declared(Said(9), "fixed")
    assert not declared(lambda data: data, "fixed")


@pytest.mark.parametrize(
    ("transforms", "leading"),
    [
        ([T.Resize([8, 8]), T.RandomHorizontalFlip(), T.Resize([4, 4])], 1),
        ([T.Resize([8, 8], interp="RANDOM")], 0),
        ([T.ResizeByShort(8), T.Padding([99, 99]), T.Normalize()], 2),
        ([T.ResizeByShort([8, 9])], 0),
        ([T.Normalize(), T.Resize([8, 8])], 0),
        ([lambda data: data, T.Resize([8, 8])], 0),
    ],
)
def test_the_leading_transforms_are_those_before_the_first_random_one(transforms, leading):
    assert Compose(transforms).leading == transforms[:leading]

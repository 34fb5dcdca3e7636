"""deploy/transforms.py: what an image goes through, as in training."""

import numpy as np
import pytest

from paddleseg.cvlibs.builder import build_transforms
from paddleseg.exporting.deploy_limits import DEPLOYABLE
from paddleseg.transforms import Compose


@pytest.fixture(scope="module")
def transforms(deployment):
    """deploy/transforms.py, as a module."""
    return deployment("transforms")


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "Resize", "target_size": [40, 28]},
        {
            "type": "Resize",
            "target_size": [40, 40],
            "keep_ratio": True,
            "size_divisor": 16,
            "interp": "CUBIC",
        },
        {"type": "ResizeByLong", "long_size": 40},
        {"type": "ResizeByShort", "short_size": 24},
        {"type": "ResizeByShort", "short_size": [24], "max_size": 30},
        {"type": "LimitLong", "max_long": 45, "min_long": 20},
        {"type": "LimitLong", "min_long": 70},
        {"type": "Normalize", "mean": [0.5, 0.4, 0.3], "std": [0.5, 0.25, 0.2]},
    ],
)
@pytest.mark.parametrize("size", [(37, 53), (230, 1)])
def test_a_deployed_image_is_prepared_as_in_training(transforms, spec, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype("uint8")
    ours = Compose(build_transforms([spec]))({"img": image})["img"]
    theirs = transforms.prepared(image[..., ::-1], [transforms.step(spec)])[0]  # RGB, as it is read
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-5)


def test_an_export_knows_which_transforms_are_deployed(transforms):
    assert set(DEPLOYABLE) == set(transforms.STEPS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"type": "RandomDistort"}], "infer.py does not know the transform RandomDistort, only"),
        ([{"type": "Resize", "interp": "FOO"}], "'FOO'; it takes .*interp='LINEAR'"),
        ([{"type": "Resize", "size": [8, 8]}], "unexpected keyword argument 'size'; it takes .target_size="),
        ([{"type": "Resize", "target_size": 8}], "of the deploy.yaml: .*; it takes .target_size="),
        ([{"type": "ResizeByLong"}], "'long_size'; it takes .long_size."),
        ([{"type": "ResizeByShort", "short_size": [8, 9]}], "several sizes are for training"),
        ([{"type": ["Resize"]}], "does not know the transform .'Resize'."),
        ([{"type": "Resize", "target_size": [0, 8]}], "target_size must be whole numbers above 0, 2 of them"),
        ([{"type": "Resize", "target_size": ["a", 8]}], "target_size must be whole numbers above 0"),
        ([{"type": "Resize", "size_divisor": "x"}], "size_divisor must be whole numbers above 0, 1 of them"),
        ([{"type": "ResizeByLong", "long_size": "x"}], "long_size must be whole numbers above 0"),
        ([{"type": "ResizeByLong", "long_size": 0}], "long_size must be whole numbers above 0"),
        ([{"type": "ResizeByShort", "short_size": [None]}], "short_size must be whole numbers above 0"),
        ([{"type": "LimitLong", "max_long": "x"}], "max_long and min_long must be whole numbers above 0"),
        ([{"type": "Normalize", "std": [0, 1, 1]}], "std must hold no 0"),
        ([{"type": "Normalize", "mean": [[0.5]]}], "must be lists of numbers"),
        ([{"target_size": [8, 8]}], "must be a list of `type: ...`"),
        (["Resize"], "must be a list of `type: ...`"),
        (None, "must be a list of `type: ...`, not None"),
    ],
)
def test_wrong_transforms_are_refused(transforms, given, message):
    with pytest.raises(transforms.UserError, match=message):
        transforms.steps_of(given)


def test_transforms_that_do_not_suit_an_image_are_an_error(transforms):
    steps = transforms.steps_of([{"type": "Normalize", "mean": [0.5, 0.5, 0.5]}])
    with pytest.raises(transforms.ImageError, match="do not suit it: operands could not be broadcast"):
        transforms.prepared(np.zeros((8, 9), "uint8"), steps)

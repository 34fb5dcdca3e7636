import pytest

from paddleseg.errors import UserError
from paddleseg.transforms import (
    Padding,
    RandomAffine,
    RandomDistort,
    RandomPaddingCrop,
    RandomRotation,
    ResizeStepScaling,
)


@pytest.mark.parametrize("side", [2**15, 10**30])
def test_sides_beyond_what_opencv_warps_to_are_refused(side):
    with pytest.raises(UserError, match=r"two integers in 1\.\.32767"):
        RandomPaddingCrop([32, side])
    RandomPaddingCrop([32, 2**15 - 1])


@pytest.mark.parametrize("factor", [1e308, float("inf"), float("nan")])
def test_infinite_factors_are_refused(factor):
    with pytest.raises(UserError, match="ascending order, up to 32767"):
        ResizeStepScaling(0.5, factor)
    with pytest.raises(UserError, match=r"contrast_range must lie in 0\.\.32767"):
        RandomDistort(contrast_range=factor)
    with pytest.raises(UserError, match=r"max_rotation must lie in 0\.\.32767"):
        RandomRotation(factor)
    with pytest.raises(UserError, match=r"translation_offset must lie in 0\.\.32767"):
        RandomAffine(translation_offset=factor)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, float("nan"), float("inf")])
@pytest.mark.parametrize("transform", [RandomPaddingCrop, Padding])
def test_padding_values_that_do_not_fit_32_bits_are_refused(transform, value):
    for name in ("im_padding_value", "label_padding_value"):
        with pytest.raises(UserError, match=f"{name} must be a number of 32 bits"):
            transform([32, 32], **{name: value})

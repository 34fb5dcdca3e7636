import pytest

from paddleseg.errors import UserError
from paddleseg.transforms import RandomDistort, RandomPaddingCrop, ResizeStepScaling


@pytest.mark.parametrize("side", [2**15, 10**30])
def test_sides_beyond_what_opencv_warps_to_are_refused(side):
    with pytest.raises(UserError, match=r"two integers in 1\.\.32767"):
        RandomPaddingCrop([32, side])
    RandomPaddingCrop([32, 2**15 - 1])


@pytest.mark.parametrize("factor", [1e308, float("inf"), float("nan")])
def test_endless_factors_are_refused(factor):
    with pytest.raises(UserError, match="ascending order, up to 32767"):
        ResizeStepScaling(0.5, factor)
    with pytest.raises(UserError, match=r"contrast_range must lie in 0\.\.1e6"):
        RandomDistort(contrast_range=factor)

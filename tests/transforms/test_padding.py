import numpy as np
import pytest
from transform_samples import coordinates, sample

from paddleseg import transforms as T
from paddleseg.errors import UserError


def inside(data, corner, size):
    """Whether the image and mask of `coordinates` lie, whole, with their corner (x, y) at `corner`."""
    (x, y), (width, height) = corner, size
    original = coordinates(height, width)
    cut = np.s_[y : y + height, x : x + width]
    return np.array_equal(data["img"][cut], original["img"]) and np.array_equal(
        data["label"][cut], original["label"]
    )


def test_padding_lies_below_and_on_the_right():
    data = T.Padding([8, 7], im_padding_value=99, label_padding_value=77)(coordinates(4, 5))
    assert inside(data, (0, 0), (5, 4))
    assert data["img"].shape == (7, 8, 3)
    for key, value in (("img", 99), ("label", 77)):
        assert (data[key][4:] == value).all()
        assert (data[key][:, 5:] == value).all()
    assert data["trans_info"] == [("padding", (4, 5))]


def test_an_image_of_the_target_size_is_not_padded():
    data = T.Padding([5, 4])(coordinates(4, 5))
    assert inside(data, (0, 0), (5, 4))
    assert data["trans_info"] == [("padding", (4, 5))]


def test_padding_keeps_halves_in_floating_images():
    assert (
        T.Padding([2, 2])(sample(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8)))["img"][1, 1]
        == 127.5
    )


@pytest.mark.parametrize("size", [[4, 9], [9, 3]])
def test_an_image_larger_than_the_target_size_is_refused(size):
    with pytest.raises(UserError, match=f"image of 5 x 4 does not fit target_size {size[0]} x {size[1]}"):
        T.Padding(size)(coordinates(4, 5))


@pytest.mark.parametrize(
    ("ratio", "size"),
    [(1, (5, 5)), (2, (8, 4)), (0.5, (5, 10)), (1.25, (5, 4)), (1.3, (5, 4)), (0.3, (5, 16))],
)
def test_padding_by_aspect_ratio(ratio, size):
    data = T.PaddingByAspectRatio(ratio, label_padding_value=7)(coordinates(4, 5))
    assert data["img"].shape[1::-1] == data["label"].shape[::-1] == size
    assert inside(data, (0, 0), (5, 4))
    assert (data["label"] == 7).sum() >= size[0] * size[1] - 20


@pytest.mark.parametrize("transform", [T.PaddingByAspectRatio, T.ScalePadding])
def test_padding_with_one_value_for_each_channel(transform):
    first = {T.PaddingByAspectRatio: 2, T.ScalePadding: [16, 16]}[transform]
    same = transform(first, im_padding_value=[7, 7, 7])(coordinates(4, 5))["img"]
    np.testing.assert_array_equal(same, transform(first, im_padding_value=7)(coordinates(4, 5))["img"])
    for wrong in ([7, 7, 8], []):
        with pytest.raises(UserError, match="im_padding_value must be the same for all channels"):
            transform(first, im_padding_value=wrong)


@pytest.mark.parametrize(("height", "width", "corner"), [(4, 9, (0, 2)), (9, 4, (2, 0)), (5, 5, (0, 0))])
def test_scale_padding_puts_the_image_in_the_middle(height, width, corner):
    side = max(height, width)
    data = T.ScalePadding([side, side], im_padding_value=50)(coordinates(height, width))
    assert inside(data, corner, (width, height))
    assert data["img"].shape == (side, side, 3)
    outside = data["label"] == 255
    assert outside.sum() == side * side - height * width
    assert (data["img"][outside] == 50).all()


def test_scale_padding_gives_floats_the_values_of_bytes():
    image, mask = coordinates(9, 14)["img"], np.zeros((9, 14), np.uint8)
    narrow = T.ScalePadding([11, 12])(sample(image, mask))["img"]
    wide = T.ScalePadding([11, 12])(sample(image.astype(np.float32), mask))["img"]
    assert wide.dtype == np.float32
    np.testing.assert_array_equal(wide, narrow)

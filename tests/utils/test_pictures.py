"""Colours of classes, overlays and sheets of pictures."""

import numpy as np
import pytest

from paddleseg.errors import UserError
from paddleseg.utils.pictures import CAPTION_HEIGHT, class_colors, overlay, palette, sheet


def test_the_palette_is_that_of_pascal_voc():
    # The first colours of the VOC 2012 development kit.
    expected = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128], [0, 128, 128]]
    colors = palette()
    assert colors[: len(expected)].tolist() == expected
    assert colors[20].tolist() == [0, 64, 128]
    assert colors[255].tolist() == [224, 224, 192]
    assert len(np.unique(colors, axis=0)) == 256


@pytest.mark.parametrize("num_classes", [2, 3, 21, None])
def test_the_deployed_script_has_the_same_colours(deployment, num_classes):
    alone = deployment("infer").palette
    np.testing.assert_array_equal(class_colors(num_classes), alone(num_classes))


def test_the_second_of_two_classes_is_green_by_default():
    assert class_colors(2)[:2].tolist() == [[0, 0, 0], [60, 220, 80]]
    assert class_colors(2, [9, 9, 9])[:2].tolist() == [[9, 9, 9], [128, 0, 0]]
    assert class_colors(3)[1].tolist() == [128, 0, 0]


def test_custom_colours_replace_the_first_ones():
    colors = palette([1, 2, 3, 4, 5, 255])
    assert colors[:3].tolist() == [[1, 2, 3], [4, 5, 255], [0, 128, 0]]
    assert palette([7, 7, 7] * 256).tolist() == [[7, 7, 7]] * 256


@pytest.mark.parametrize("custom", [[1, 2], [1, 2, 256], [-1, 2, 3], [1] * 771])
def test_custom_colours_of_another_form_are_refused(custom):
    with pytest.raises(UserError, match="custom colours are red, green and blue"):
        palette(custom)


def test_an_overlay_tints_and_outlines_classes_and_leaves_its_input_unchanged():
    image = np.full((20, 30, 3), 100, "uint8")
    mask = np.zeros((20, 30), "int64")
    mask[5:15, 5:15] = 1
    mask[5:15, 15:25] = 2
    mask[0] = 255  # ignored pixels are no object
    shown = overlay(image, mask, palette([0, 0, 0, 0, 200, 0, 50, 0, 250]), alpha=0.5)
    assert (shown[10, 10] == (50, 150, 50)).all()
    assert (shown[10, 20] == (175, 50, 75)).all()  # BGR
    assert (shown[5, 5:15] == (0, 255, 0)).all()  # the outlines
    assert (shown[5:15, 14] == (0, 255, 0)).all()
    assert (shown[5:15, 15] == (255, 0, 51)).all()
    assert (shown[(mask == 0) | (mask == 255)] == 100).all()
    assert (image == 100).all()


def test_ignore_index_may_be_any_value_or_none():
    image, mask = np.full((8, 8, 3), 100, "uint8"), np.full((8, 8), 255)
    assert (overlay(image, mask) == 100).all()
    shown = overlay(image, mask, alpha=1.0, ignore_index=None)
    assert (shown == (192, 224, 224)).all()
    assert (overlay(image, np.full((8, 8), 3), ignore_index=3) == 100).all()


def test_black_tints_nothing():
    image, mask = np.full((4, 4, 3), 100, "uint8"), np.zeros((4, 4), "uint8")
    assert (overlay(image, mask, palette([0, 0, 0])) == 100).all()
    assert (overlay(image, mask, palette([0, 0, 200]), alpha=1.0) == (200, 0, 0)).all()


@pytest.mark.parametrize("gap", [0, 4])
def test_a_sheet_has_rows_below_captions_and_gaps_between(gap):
    a, b = np.full((10, 30, 3), 10, "uint8"), np.full((10, 30, 3), 20, "uint8")
    picture = sheet([[a, b], [b, a]], ["first", "second"], gap)
    head, body = picture[:CAPTION_HEIGHT], picture[CAPTION_HEIGHT:]
    assert (head < 128).any()  # something was written there
    assert body.shape == (20 + gap, 60 + gap, 3)
    assert (body[:10, :30] == 10).all()
    assert (body[10 + gap :, :30] == 20).all()
    assert (body[10 + gap :, 30 + gap :] == 10).all()
    assert (body[:, 30 : 30 + gap] == 255).all()
    assert (body[10 : 10 + gap] == 255).all()


def test_a_caption_that_is_too_long_loses_its_middle():
    picture = np.zeros((4, 80, 3), "uint8")
    short, long = (sheet([[picture]], [text])[:CAPTION_HEIGHT] for text in ("abc", "abc" + 60 * "m" + "xyz"))
    assert (long[:, -4:] == 255).all()  # nothing is cut off at the edge
    assert (long[:, 8:28] == short[:, 8:28]).mean() > 0.9  # the same beginning
    assert (long[:, 60:] < 128).any()  # up to the end

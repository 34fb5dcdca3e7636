"""The pictures of a page, pixel by pixel."""

import numpy as np

from paddleseg.report.gallery import LONGEST, masked
from paddleseg.utils.pictures import class_colors, overlay


def test_of_two_classes_the_second_is_tinted_and_what_is_ignored_is_not():
    picture = np.full((4, 6, 3), 100, "uint8")
    mask = np.zeros((4, 6), "int64")
    mask[:, 2:4], mask[:, 5] = 1, 7
    shown = masked(picture, mask, 2, ignore_index=7)
    assert (shown[:, [0, 1, 4, 5]] == 100).all()
    assert (shown[:, 2:4] != 100).any(axis=2).all()


def test_each_of_many_classes_has_the_colour_that_it_has_elsewhere():
    picture = np.full((1, 4, 3), 50, "uint8")
    mask = np.array([[1, 1, 2, -1]])
    shown = masked(picture, mask, 3, ignore_index=-1)
    np.testing.assert_array_equal(shown, overlay(picture, np.where(mask < 0, 255, mask), class_colors(3)))
    assert (shown[0, 3] == 50).all()
    assert len({tuple(color) for color in class_colors(150)[:150]}) == 150


def test_a_large_picture_is_made_small_and_a_small_one_stays():
    mask = np.zeros((1000, 500), "uint8")
    assert masked(np.zeros((1000, 500, 3), "uint8"), mask, 2).shape == (LONGEST, LONGEST // 2, 3)
    assert masked(np.zeros((7, 1, 3), "uint8"), None, 2).shape == (7, 1, 3)

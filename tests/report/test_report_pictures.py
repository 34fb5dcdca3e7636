"""The pictures of a page, pixel by pixel."""

import numpy as np

from paddleseg.report.pictures import LONGEST, class_color, masked, photograph


def test_of_two_classes_the_second_is_tinted_and_what_is_ignored_is_not():
    picture = np.full((4, 6, 3), 100, "uint8")
    mask = np.zeros((4, 6), "int64")
    mask[:, 2:4], mask[:, 5] = 1, 7
    shown = masked(picture, mask, 2, ignore_index=7)
    assert (shown[:, [0, 1, 4, 5]] == 100).all()
    assert (shown[:, 2:4] != 100).any(axis=2).all()


def test_each_of_many_classes_has_its_colour():
    picture = np.full((1, 4, 3), 50, "uint8")
    shown = masked(picture, np.array([[0, 1, 2, 255]]), 3)
    for k in range(3):
        expected = 0.4 * 50 + 0.6 * np.array(class_color(k)[::-1])
        assert np.abs(shown[0, k] - expected).max() <= 1
    assert (shown[0, 3] == 50).all()
    assert len({class_color(k) for k in range(150)}) == 150


def test_a_large_picture_is_made_small_and_a_small_one_stays():
    mask = np.zeros((1000, 500), "uint8")
    assert masked(np.zeros((1000, 500, 3), "uint8"), mask, 2).shape == (LONGEST, LONGEST // 2, 3)
    assert masked(np.zeros((7, 1, 3), "uint8"), None, 2).shape == (7, 1, 3)


def test_an_image_without_a_file_is_drawn_from_what_the_model_is_given():
    image = np.zeros((3, 2, 2), "float32")
    image[0, 0, 0], image[2, 1, 1] = 2.0, -2.0  # red at its highest, blue at its lowest
    sample = {"img": image, "label": np.zeros((2, 2), "int64")}
    picture = photograph(object(), 0, sample)
    assert picture[0, 0].tolist() == [127, 127, 255]
    assert picture[1, 1].tolist() == [0, 127, 127]
    grey = photograph(object(), 0, {**sample, "img": image[:1]})
    assert grey[0, 0].tolist() == [255, 255, 255]

import numpy as np

from paddleseg.utils.pictures import CAPTION_HEIGHT, overlay, sheet


def test_an_overlay_tints_the_mask_and_leaves_the_rest_and_its_input_alone():
    image = np.full((20, 20, 3), 100, "uint8")
    mask = np.zeros((20, 20), "uint8")
    mask[5:15, 5:15] = 1
    mask[0] = 255  # ignored pixels are no object
    shown = overlay(image, mask, color=(0, 200, 0), alpha=0.5)
    assert (shown[10, 10] == (50, 150, 50)).all()
    assert (shown[5, 5] == (0, 200, 0)).all()  # the outline
    assert (shown[mask != 1] == 100).all()
    assert (image == 100).all()


def test_a_sheet_puts_rows_below_a_line_of_captions():
    a, b = np.full((10, 30, 3), 10, "uint8"), np.full((10, 30, 3), 20, "uint8")
    picture = sheet([[a, b], [b, a]], ["first", "second"])
    assert picture.shape == (20 + CAPTION_HEIGHT, 60, 3)
    assert (picture[CAPTION_HEIGHT : CAPTION_HEIGHT + 10, :30] == 10).all()
    assert (picture[CAPTION_HEIGHT + 10 :, :30] == 20).all()
    assert (picture[:CAPTION_HEIGHT] < 128).any()  # something was written there

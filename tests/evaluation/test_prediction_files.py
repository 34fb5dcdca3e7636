"""The files of a prediction: masks, overlays, probabilities and sheets."""

import cv2
import numpy as np
from predicting import indices, photograph, predict_with, written

from paddleseg.utils.pictures import CAPTION_HEIGHT, VOC


def test_one_model_writes_masks_and_overlays_under_the_names_of_the_images(tmp_path, columns):
    shown = photograph(tmp_path / "photos/a.png")
    photograph(tmp_path / "photos/sub/a.png", 9, 8)
    photograph(tmp_path / "photos/sub/a.jpg", 9, 8)
    model = columns("four", 4)
    predict_with([model], [tmp_path / "photos"], tmp_path / "out")
    assert written(tmp_path / "out") == [
        "added_prediction/a.png",
        "added_prediction/sub/a.jpg",
        "added_prediction/sub/a.png",
        "pseudo_color_prediction/a.png",
        "pseudo_color_prediction/sub/a.jpg.png",
        "pseudo_color_prediction/sub/a.png.png",
    ]
    path = tmp_path / "out/pseudo_color_prediction/a.png"
    mask = indices(path)
    np.testing.assert_array_equal(mask, np.tile(np.repeat(np.arange(4), 4), (12, 1)))
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], VOC[mask])
    added = cv2.imread(str(tmp_path / "out/added_prediction/a.png"))
    np.testing.assert_array_equal(added[:, :4], shown[:, :4])  # black tints nothing
    np.testing.assert_array_equal(
        added[5, 9], (0.55 * shown[5, 9] + 0.45 * np.array([0, 128, 0])).astype("uint8")
    )


def test_the_second_of_two_classes_is_green(tmp_path, columns):
    photograph(tmp_path / "a.png")
    predict_with([columns("two")], [tmp_path / "a.png"], tmp_path / "out")
    mask = cv2.imread(str(tmp_path / "out/pseudo_color_prediction/a.png"))
    assert mask[0, -1].tolist() == [80, 220, 60]


def test_an_overlay_of_an_unknown_format_is_a_png(tmp_path, columns):
    photograph(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "frame")
    predict_with([columns("two")], [tmp_path / "frame"], tmp_path / "out")
    assert written(tmp_path / "out") == ["added_prediction/frame.png", "pseudo_color_prediction/frame.png"]


def test_colours_may_be_chosen(tmp_path, columns):
    photograph(tmp_path / "a.png")
    predict_with([columns("two")], [tmp_path / "a.png"], tmp_path / "out", custom_color=[9, 8, 7, 250, 0, 1])
    mask = cv2.imread(str(tmp_path / "out/pseudo_color_prediction/a.png"))
    assert mask[0, 0].tolist() == [7, 8, 9]
    assert mask[0, -1].tolist() == [1, 0, 250]


def test_probabilities_are_those_of_the_logits(tmp_path, columns):
    photograph(tmp_path / "a.png")
    predict_with([columns("three", 3)], [tmp_path / "a.png"], tmp_path / "out", save_probabilities=True)
    stored = np.load(tmp_path / "out/probabilities/a.npz")["probabilities"]
    mask = indices(tmp_path / "out/pseudo_color_prediction/a.png")
    high = np.exp(9) / (np.exp(9) + 2)
    expected = np.where(np.arange(3)[:, None, None] == mask, high, (1 - high) / 2)
    assert (stored.shape, stored.dtype) == ((3, 12, 16), np.float16)
    np.testing.assert_allclose(stored, expected, atol=5e-4)


def test_several_models_are_side_by_side_with_the_truth_if_there_is_one(tmp_path, columns):
    shown = photograph(tmp_path / "a.png", 300, 360)
    photograph(tmp_path / "b.png", 30, 20)
    truth = np.zeros((300, 360), "uint8")
    truth[150:], truth[:20] = 2, 255
    cv2.imwrite(str(tmp_path / "a_mask.png"), truth)
    (tmp_path / "list.txt").write_text("a.png a_mask.png\nb.png\n")
    models = [columns("two"), columns("four", 4)]
    predict_with(models, [tmp_path / "list.txt"], tmp_path / "out")
    kinds = ["added_prediction", "pseudo_color_prediction"]
    assert written(tmp_path / "out") == [
        *(f"four/{kind}/{i}.png" for kind in kinds for i in "ab"),
        "sheets/a.png",
        "sheets/b.png",
        *(f"two/{kind}/{i}.png" for kind in kinds for i in "ab"),
    ]
    sheet = cv2.imread(str(tmp_path / "out/sheets/a.png"))
    assert sheet.shape == (300 + CAPTION_HEIGHT, 4 * 360 + 3 * 6, 3)
    image, truth_shown, two, four = (sheet[CAPTION_HEIGHT:, x : x + 360] for x in (0, 366, 732, 1098))
    np.testing.assert_array_equal(image, shown)
    np.testing.assert_array_equal(truth_shown[:148], shown[:148])  # class 0 and what is ignored
    assert (truth_shown[200] != shown[200]).any(axis=-1).mean() > 0.9
    for model, picture in (("two", two), ("four", four)):
        added = cv2.imread(str(tmp_path / "out" / model / "added_prediction/a.png"))
        np.testing.assert_array_equal(picture, added)
    # A small picture is enlarged, to be seen and to have room for its caption.
    assert cv2.imread(str(tmp_path / "out/sheets/b.png")).shape == (240 + CAPTION_HEIGHT, 3 * 160 + 2 * 6, 3)


def test_a_large_photograph_is_shrunk_on_its_sheet_only(tmp_path, columns):
    photograph(tmp_path / "a.png", 250, 1000)
    predict_with([columns("two"), columns("four", 4)], [tmp_path / "a.png"], tmp_path / "out")
    assert cv2.imread(str(tmp_path / "out/sheets/a.png")).shape == (120 + CAPTION_HEIGHT, 3 * 480 + 2 * 6, 3)
    assert indices(tmp_path / "out/two/pseudo_color_prediction/a.png").shape == (250, 1000)

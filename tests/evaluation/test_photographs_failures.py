"""Predictions in which one image fails: the others are done, and no file of the user is lost."""

import os

import cv2
import numpy as np
import pytest
from predicting import Columns, photograph, predict_with, written

from paddleseg.errors import UserError
from paddleseg.evaluation.photographs import predict

MASKS, OVERLAYS = "pseudo_color_prediction", "added_prediction"


def test_an_image_that_the_model_refuses_is_skipped(tmp_path, columns, capsys, monkeypatch):
    for name, width in (("a", 16), ("b", 5), ("c", 16)):
        photograph(tmp_path / f"photos/{name}.png", width=width)
    forward = Columns.forward

    def narrow(self, x):
        if x.shape[3] == 5:
            raise RuntimeError("too\nnarrow")
        return forward(self, x)

    monkeypatch.setattr(Columns, "forward", narrow)
    with pytest.raises(UserError, match=r"^1 of 3 images could not be predicted: .*b\.png$"):
        predict_with([columns("two")], [tmp_path / "photos"], tmp_path / "out")
    log = capsys.readouterr().out
    assert "b.png: the model does not run on an input of [1, 3, 12, 5]: too narrow" in log
    assert written(tmp_path / "out" / MASKS) == ["a.png", "c.png"]


def test_an_error_of_the_model_becomes_a_message():
    def failing(images):
        raise ValueError("no such size")

    with pytest.raises(UserError, match=r"does not run on an input of \[1, 3, 4, 6\]: no such size"):
        predict(failing, np.zeros((3, 4, 6), "float32"), (4, 6))


def test_an_image_whose_result_cannot_be_written_is_skipped(tmp_path, columns, capsys):
    for name in "abc":
        photograph(tmp_path / f"photos/{name}.png")
    (tmp_path / "out" / OVERLAYS / "b.png").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^1 of 3 images could not be predicted: .*b\.png$"):
        predict_with([columns("two")], [tmp_path / "photos"], tmp_path / "out")
    assert f"b.png: cannot write {tmp_path / 'out' / OVERLAYS / 'b.png'}" in capsys.readouterr().out
    assert written(tmp_path / "out" / OVERLAYS) == ["a.png", "c.png"]


@pytest.mark.skipif(os.name == "nt", reason="there, every name is UTF-8")
def test_an_image_whose_name_is_not_utf_8_is_predicted(tmp_path, columns):
    photograph(tmp_path / "photos/a.jpg")
    try:
        os.rename(tmp_path / "photos/a.jpg", os.fsencode(tmp_path) + b"/photos/caf\xe9.jpg")
    except OSError:
        pytest.skip("this file system has no such names")
    predict_with([columns("two")], [tmp_path / "photos"], tmp_path / "out")
    assert [os.fsencode(name) for name in os.listdir(tmp_path / "out" / MASKS)] == [b"caf\xe9.png"]
    assert [os.fsencode(name) for name in os.listdir(tmp_path / "out" / OVERLAYS)] == [b"caf\xe9.jpg"]


def test_truth_in_the_folder_of_the_results_is_not_overwritten(tmp_path, columns):
    """Such as predictions that were corrected by hand."""
    picture = photograph(tmp_path / "a.png")
    truth = tmp_path / "out" / MASKS / "a.png"
    truth.parent.mkdir(parents=True)
    cv2.imwrite(str(truth), picture[..., 0] % 2)
    before = truth.read_bytes()
    (tmp_path / "list.txt").write_text(f"a.png out/{MASKS}/a.png\n", encoding="utf-8")
    with pytest.raises(UserError, match="a.png is where save_dir .* puts its pictures"):
        predict_with([columns("two")], [tmp_path / "list.txt"], tmp_path / "out")
    assert truth.read_bytes() == before


def test_a_link_to_the_folder_of_the_results_is_followed(tmp_path, columns):
    photograph(tmp_path / "out" / OVERLAYS / "a.png")
    (tmp_path / "photos").symlink_to(tmp_path / "out" / OVERLAYS, target_is_directory=True)
    with pytest.raises(UserError, match="is where save_dir"):
        predict_with([columns("two")], [tmp_path / "photos"], tmp_path / "out")
    assert written(tmp_path / "out") == [f"{OVERLAYS}/a.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_named_pipe_is_skipped_at_once(tmp_path, columns, capsys):
    photograph(tmp_path / "photos/a.png")
    os.mkfifo(tmp_path / "photos/b.png")
    with pytest.raises(UserError, match=r"^1 of 2 images could not be predicted: .*b\.png$"):
        predict_with([columns("two")], [tmp_path / "photos"], tmp_path / "out")
    assert written(tmp_path / "out" / MASKS) == ["a.png"]

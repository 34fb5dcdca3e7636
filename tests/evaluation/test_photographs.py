"""Masks of photographs, and the refusals of a prediction."""

import os
import subprocess
import sys

import cv2
import numpy as np
import paddle
import paddle.nn as nn
import pytest
import tiny
from PIL import Image
from predicting import indices, photograph, predict_with, written

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError
from paddleseg.evaluation import evaluator as evaluation
from paddleseg.evaluation.photographs import model_names, predict
from paddleseg.utils.logger import logger

SLIDE = {"is_slide": True, "crop_size": [24, 16], "stride": [16, 16]}
FLIPS = {"aug_eval": True, "scales": [0.75, 1.25], "flip_horizontal": True, "flip_vertical": True}


class Halves(nn.Layer):
    """Class 1 in the right half of the image."""

    def forward(self, x):
        right = paddle.arange(x.shape[3]).astype("float32") - x.shape[3] / 2 + 0.5
        return [paddle.stack([-right, right]).reshape([1, 2, 1, -1]).expand([1, 2, x.shape[2], x.shape[3]])]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A config whose transforms change the size, its weights and its data set; both classes occur."""
    folder = tmp_path_factory.mktemp("trained")
    root = tiny.write_optic_disc(folder / "data")
    dic = tiny.config(root)
    dic["val_dataset"]["transforms"] = [{"type": "Resize", "target_size": [40, 28]}, {"type": "Normalize"}]
    config = tiny.write_yaml(folder / "small.yml", dic)
    paddle.seed(3)
    builder = SegBuilder(Config(config, sections=("model", "val_dataset")))
    model = builder.model
    model.eval()
    tiny.balance(model, model.heads[0].bias, builder.val_dataset[0]["img"])
    return config, tiny.save_weights(folder / "small.pdparams", model), root


def test_the_mask_has_the_wanted_size():
    mask = predict(Halves(), np.zeros((3, 4, 8), "float32"), (6, 20))
    assert mask.dtype == np.uint8
    expected = np.zeros((6, 20), "uint8")
    expected[:, 10:] = 1
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("place", ["flags", "config"])
@pytest.mark.parametrize("test_config", [{}, SLIDE, FLIPS, {**SLIDE, **FLIPS}], ids=str)
def test_masks_are_those_that_evaluation_counts(tmp_path, trained, monkeypatch, test_config, place):
    config, weights, root = trained
    opts = [f"test_config.{key}={value}" for key, value in test_config.items()] if place == "config" else []
    given = test_config if place == "flags" else {}
    predict_with([trained], [os.path.join(root, "val_list.txt")], tmp_path, opts=opts or None, **given)

    counted, count = [], evaluation.confusion_matrix
    monkeypatch.setattr(evaluation, "confusion_matrix", lambda *a: counted.extend(a[0].numpy()) or count(*a))
    builder = SegBuilder(Config(config, test_config=test_config))
    builder.model.set_state_dict(paddle.load(weights))
    evaluation.evaluate(builder.model, builder.val_dataset, 2, config=builder.eval_config)
    assert len(counted) == 5
    assert set(np.unique(counted)) == {0, 1}
    for (path, _), expected in zip(builder.val_dataset.file_list, counted):
        stem = os.path.splitext(os.path.basename(path))[0]
        mask = indices(tmp_path / "pseudo_color_prediction" / "JPEGImages" / f"{stem}.png")
        np.testing.assert_array_equal(mask, expected)


def test_a_mask_holds_256_classes_at_most(tmp_path, columns, terminal):
    terminal()
    handlers = list(logger.handlers)
    photograph(tmp_path / "a.png", 4, 257)
    predict_with([columns("most", 256)], [tmp_path / "a.png"], tmp_path / "out")
    mask = indices(tmp_path / "out/pseudo_color_prediction/a.png")
    assert (mask[0, 0], mask[0, -1], len(np.unique(mask))) == (0, 255, 256)
    with pytest.raises(UserError, match="has 257 classes, a mask can hold 256"):
        predict_with([columns("more", 257)], [tmp_path / "a.png"], tmp_path / "out")
    assert logger.handlers == handlers  # so the bar is closed, and what is printed now is below it


def test_grey_images_go_to_a_model_of_one_channel(tmp_path, columns):
    photograph(tmp_path / "a.png")
    predict_with([columns("grey", channels=1, img_channels=1)], [tmp_path / "a.png"], tmp_path / "out")
    assert written(tmp_path / "out") == ["added_prediction/a.png", "pseudo_color_prediction/a.png"]


def test_a_photograph_on_its_side_is_set_upright_as_in_training(tmp_path, columns):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    Image.fromarray(np.zeros((10, 30, 3), "uint8")).save(tmp_path / "a.jpg", exif=exif)
    predict_with([columns("two")], [tmp_path / "a.jpg"], tmp_path / "out")
    mask = indices(tmp_path / "out/pseudo_color_prediction/a.png")
    np.testing.assert_array_equal(mask, np.tile(np.repeat([0, 1], 5), (30, 1)))
    assert cv2.imread(str(tmp_path / "out/added_prediction/a.jpg")).shape == (30, 10, 3)


def test_one_model_has_a_sheet_if_there_is_a_truth(tmp_path, trained):
    root = trained[2]
    predict_with([trained], [os.path.join(root, "val_list.txt")], tmp_path)
    assert written(tmp_path / "sheets") == [f"JPEGImages/val_{i}.png" for i in range(5)]


@pytest.mark.parametrize(
    ("configs", "weights", "expected"),
    [
        (["x/a.yml", "y/b.yml"], ["w/1.pdparams", "w/1.pdparams"], ["a", "b"]),
        (["a.yml", "a.yml"], ["o/s/best_model/m.pdparams", "o/d/best_model/m.pdparams"], ["a_s", "a_d"]),
        (["a.yml", "b.yml", "a.yml"], ["o/p.pdparams", "o/q.pdparams", "o/r.pdparams"], ["a_p", "b", "a_r"]),
        (["x/a.yml", "y/a.yml"], [None, None], ["a_1", "a_2"]),
        (["a.yml", "a.yml"], ["o/m.pdparams", "o/m.pdparams"], ["a_1", "a_2"]),
    ],
)
def test_models_have_the_names_of_their_configs_and_if_needed_of_their_weights(configs, weights, expected):
    assert model_names(configs, weights) == expected


def test_a_broken_image_is_named_and_skipped(tmp_path, columns, capsys):
    photograph(tmp_path / "photos/a.png")
    photograph(tmp_path / "photos/c.png")
    (tmp_path / "photos/b.jpg").write_bytes(b"no image")
    with pytest.raises(UserError) as error:
        predict_with([columns("two")], [tmp_path / "photos"], tmp_path / "out")
    assert str(error.value) == f"1 of 3 images could not be predicted: {tmp_path / 'photos/b.jpg'}"
    assert f"skipped {tmp_path / 'photos/b.jpg'}: cannot read image" in capsys.readouterr().out
    assert os.listdir(tmp_path / "out/pseudo_color_prediction") == ["a.png", "c.png"]


@pytest.mark.parametrize("problem", ["missing", "size", "value"])
def test_an_image_whose_truth_cannot_be_shown_is_skipped(tmp_path, columns, capsys, problem):
    photograph(tmp_path / "a.png")
    truth = np.zeros((5, 5) if problem == "size" else (12, 16), "uint16")
    if problem != "missing":
        cv2.imwrite(str(tmp_path / "mask.png"), truth + 300 if problem == "value" else truth)
    (tmp_path / "list.txt").write_text("a.png mask.png\n")
    with pytest.raises(UserError, match=r"1 of 1 image could not be predicted"):
        predict_with([columns("two")], [tmp_path / "list.txt"], tmp_path / "out")
    reason = {"missing": "there is no such file", "size": "differ in size", "value": "has class 300"}[problem]
    assert reason in capsys.readouterr().out
    assert written(tmp_path / "out") == []


def refused(columns, tmp_path, **given):
    """Return the message with which a prediction of an image is refused."""
    if not (tmp_path / "a.png").exists():
        photograph(tmp_path / "a.png")
    with pytest.raises(UserError) as error:
        predict_with([columns("two")], [tmp_path / "a.png"], tmp_path / "out", **given)
    return str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image_path": ["gone.png"]}, "there is no image, folder or list gone.png"),
        ({"model_path": None}, "no weights to predict with"),
        ({"custom_color": [1, 2]}, "custom colours"),
        ({"scales": [0.5]}, "without aug_eval"),
    ],
)
def test_wrong_options_are_refused(columns, tmp_path, given, message):
    assert message in refused(columns, tmp_path, **given)


def test_weights_for_some_configs_only_are_refused(columns, tmp_path):
    config, _ = columns("two")
    message = refused(columns, tmp_path, config=[config, config])
    assert message.startswith("model_path has 1 path and there are 2 configs")


def test_a_transform_that_cannot_be_undone_is_refused(columns, tmp_path):
    transforms = [{"type": "RandomPaddingCrop", "crop_size": [8, 8]}]
    config, weights = columns("cropped", transforms=transforms)
    message = refused(columns, tmp_path, config=[config], model_path=[weights])
    assert "RandomPaddingCrop moves the image away" in message


def test_a_folder_that_cannot_be_made_is_refused(columns, tmp_path):
    (tmp_path / "out").write_text("a file")
    assert "cannot be made" in refused(columns, tmp_path)


def test_images_among_the_results_are_refused(columns, tmp_path):
    photograph(tmp_path / "photos/a.png")
    predict_with([columns("two")], [tmp_path / "photos"], tmp_path / "photos/out")
    with pytest.raises(UserError, match="is where save_dir .* puts its pictures"):
        predict_with([columns("two")], [tmp_path / "photos"], tmp_path / "photos/out")


def test_the_command_skips_a_broken_image_and_ends_with_status_2(repository, tmp_path, trained):
    config, weights, root = trained
    (tmp_path / "broken.png").write_bytes(b"")
    command = [sys.executable, str(repository / "predict.py"), "--config", config, "--model_path", weights]
    images = ["--image_path", os.path.join(root, "JPEGImages", "val_0.jpg"), str(tmp_path / "broken.png")]
    more = ["--save_dir", "out", "--device", "cpu", "--aug_pred", "--flip_horizontal", "--save_probabilities"]
    path = os.pathsep.join([str(repository), str(repository / "tests")])
    done = subprocess.run(
        [*command, *images, *more],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines() == [
        f"error: 1 of 2 images could not be predicted: {tmp_path / 'broken.png'}"
    ]
    assert "1 image predicted: masks in out/pseudo_color_prediction" in done.stdout
    assert len(written(tmp_path / "out")) == 3


def test_images_of_12_bits_without_a_range_are_asked_about(tmp_path, trained, capsys):
    ramp = np.arange(12 * 16 * 3, dtype=np.uint16).reshape(12, 16, 3) * 7
    cv2.imwrite(str(tmp_path / "a.png"), ramp)
    predict_with([trained], [tmp_path / "a.png"], tmp_path / "out")
    assert "the values of uint16 images lie in 0..4025" in capsys.readouterr().out
    cv2.imwrite(str(tmp_path / "a.png"), ramp * 16)
    predict_with([trained], [tmp_path / "a.png"], tmp_path / "out")
    assert "img_range" not in capsys.readouterr().out

"""deploy/batches.py: images of equal size run together, and what no model takes or gives."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def batches(deployment):
    """deploy/batches.py, as a module."""
    return deployment("batches")


def brightest(batch):
    """Stand in for a model: class 1 where an image is bright, int32 N x H x W."""
    return (batch.mean(axis=1) > 100).astype("int32")


def test_images_of_equal_size_that_follow_each_other_run_together(tmp_path, infer, capsys):
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    sizes = {"a": (8, 12), "b": (8, 12), "c": (8, 12), "d": (9, 12), "e": (8, 12), "g": (8, 12)}
    for name, size in sizes.items():
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), rng.integers(0, 256, (*size, 3), dtype="uint8"))
    (tmp_path / "photos" / "f.jpg").write_bytes(b"no image")
    shapes = []

    def model(batch):
        shapes.append((len(batch), batch.shape[2]))
        return brightest(batch)

    assert infer(model, tmp_path / "photos", tmp_path / "two", "--batch_size", "2", "--warmup", "0") == 2
    assert shapes == [(2, 8), (1, 8), (1, 9), (2, 8)]
    printed = capsys.readouterr()
    assert "an image in batches of 2" in printed.out
    assert "1 of 7 images were skipped" in printed.err
    assert infer(brightest, tmp_path / "photos", tmp_path / "one") == 2
    for name in sizes:
        masks = [cv2.imread(str(tmp_path / folder / f"{name}.png"), 0) for folder in ("one", "two")]
        assert set(np.unique(masks[0])) == {0, 1}
        np.testing.assert_array_equal(*masks)


def test_a_benchmark_runs_each_batch_several_times(tmp_path, photos, infer, capsys):
    runs = []

    def model(batch):
        runs.append(len(batch))
        return brightest(batch)

    given = photos(tmp_path / "photos", "a.png", "b.png", "c.png")
    flags = ["--benchmark", "--repeats", "4", "--warmup", "2", "--batch_size", "2", "--providers", "cpu"]
    assert infer(model, given, tmp_path / "out", *flags, precision="int8") == 0
    assert runs == [2] * 6 + [1] * 6
    printed = capsys.readouterr().out
    assert "benchmark of m.onnx (int8, CPUExecutionProvider, CPU threads: the default)" in printed
    assert "2 x 3 x 8 x 12" in printed
    runs.clear()
    assert infer(model, given, tmp_path / "out", "--benchmark", "False", "--warmup", "0") == 0
    assert runs == [1, 1, 1]


def test_batches_are_refused_for_a_model_of_one_image(tmp_path, photos, infer, capsys):
    given = photos(tmp_path / "photos", "a.png")
    assert infer(brightest, given, tmp_path / "out", "--batch_size", "2", input_shape=[1, 3, -1, -1]) == 2
    assert "--batch_size 2: the model takes 1 image at once; export it for any" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(1, 5), (2, 8, 12)])
def test_an_output_that_is_no_segmentation_is_an_error(tmp_path, photos, infer, capsys, shape):
    given = photos(tmp_path / "photos", "a.png")
    assert infer(lambda _: np.zeros(shape), given, tmp_path / "out") == 2
    size = " x ".join(map(str, shape))
    assert f"the model's output is {size}, and neither N x H x W nor N x C" in capsys.readouterr().err


def test_an_image_of_another_size_than_the_models_is_refused(batches):
    batch = np.zeros((1, 3, 24, 32), "float32")
    for shape in ([-1, 3, -1, -1], [1, 3, 24, 32], [1, 3, -1, 32]):
        batches.check_size(batch, shape)
    message = "the model takes 32 x 48 .*, and after the deploy.yaml's transforms this image has 32 x 24"
    with pytest.raises(batches.ImageError, match=message):
        batches.check_size(batch, [1, 3, 48, 32])

"""An ONNX file is compared with its model: in classes, and in the numbers that no class shows."""

import os

import cv2
import numpy as np
import paddle
import paddle.nn as nn
import pytest
import tiny
from exporting import MODEL, converts, flags
from paddle.nn.functional import adaptive_avg_pool2d

from paddleseg.cvlibs import manager
from paddleseg.errors import UserError
from paddleseg.graphs import onnx_file

pytestmark = converts


def by_name(x):
    """What a user's module calls that has imported the pooling by its name."""
    return adaptive_avg_pool2d(x, (3, 5))


def bounded(x):
    """paddle2onnx takes -1 and 1 for the bounds."""
    return nn.functional.hardtanh(x, -0.2, 0.1)


OPERATIONS = {"pooling": by_name, "bounds": bounded}


@manager.MODELS.add_component
class FirstWins(nn.Layer):
    """A user's model: class 0 wins everywhere, whatever an operation makes of the other's logits."""

    def __init__(self, operation: str = "pooling", num_classes: int = 2):
        super().__init__()
        self.operation = OPERATIONS[operation]
        self.scale = self.create_parameter([1], default_initializer=nn.initializer.Constant(3.0))

    def forward(self, x):
        other = self.operation(x).mean(axis=1, keepdim=True)
        other = nn.functional.interpolate(other, x.shape[2:], mode="bilinear")
        return [paddle.concat([self.scale + 0 * other, other], axis=1)]


def first_wins(folder, operation):
    """Return a config of `FirstWins`, its weights, and no data: it is compared on noise."""
    config = tiny.write_yaml(folder / "c.yml", {"model": {"type": "FirstWins", "operation": operation}})
    return config, tiny.save_weights(folder / "model.pdparams", FirstWins(operation)), None


@pytest.mark.parametrize(
    ("operation", "output_op"),
    [("pooling", "argmax"), ("pooling", "softmax"), ("pooling", "none"), ("bounds", "argmax")],
)
def test_a_file_with_the_models_classes_and_other_numbers_is_not_kept(tmp_path, operation, output_op):
    """paddle2onnx pools over windows of one size, where 7 and 23 places have several."""
    told = r"100\.0000% of 644 pixels have the same class .*, but .*% have logits or prob"
    given = {"format": "onnx", "output_op": output_op, "input_shape": [2, 3, 7, 23]}
    with pytest.raises(UserError, match=told):
        tiny.export(**flags(first_wins(tmp_path, operation), tmp_path / "out", **given))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output_op", ["argmax", "softmax", "none"])
def test_a_pooling_whose_bins_divide_the_size_is_kept(tmp_path, output_op):
    import onnxruntime

    given = {"format": "onnx", "output_op": output_op, "input_shape": [2, 3, 6, 20]}
    tiny.export(**flags(first_wins(tmp_path, "pooling"), tmp_path / "out", **given))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["deploy.yaml", "model.onnx"]
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    assert len(session.get_outputs()) == 1


@pytest.mark.parametrize(("wrong", "kept"), [(1, True), (2, False)])
def test_one_pixel_of_ten_thousand_may_be_another_class(tmp_path, trained, monkeypatch, wrong, kept):
    """10240 of one image of 5; rounding moves as few."""
    right, calls = onnx_file._classes, iter(range(100))

    def few_wrong(output):
        classes = right(output).copy()
        if next(calls) == 1:
            classes.reshape(-1)[:wrong] += 1
        return classes

    monkeypatch.setattr(onnx_file, "_classes", few_wrong)
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 256, (128, 80, 3)))
    given = flags(trained, tmp_path / "out", format="onnx", images=[str(tmp_path / "a.png")])
    if kept:
        tiny.export(**given)
    else:
        with pytest.raises(UserError, match=r"99\.9805% of 10240 pixels .*; 99\.99% must"):
            tiny.export(**given)
    assert os.path.exists(tmp_path / "out" / "model.onnx") == kept


def test_images_go_through_the_transforms_that_are_deployed(tmp_path, trained, monkeypatch):
    transforms = [{"type": "Resize", "target_size": [64, 96]}, {"type": "Normalize", "mean": [0.1]}]
    dic = {"_base_": trained[0], "export": {"transforms": transforms}}
    config = tiny.write_yaml(tmp_path / "c.yml", dic)
    seen, right = [], onnx_file._fitted
    monkeypatch.setattr(onnx_file, "_fitted", lambda image, shape: seen.append(image) or right(image, shape))
    tiny.export(**flags((config, *trained[1:]), tmp_path / "out", format="onnx", max_images=2))
    assert [image.shape for image in seen] == [(3, 96, 64)] * 2
    picture = cv2.imread(os.path.join(trained[2], "JPEGImages", "val_0.jpg"))[..., ::-1]
    expected = (cv2.resize(picture.astype("float32"), (64, 96)) / 255 - 0.1) / 0.5
    np.testing.assert_allclose(seen[0], expected.transpose(2, 0, 1), rtol=1e-4, atol=1e-4)


def test_an_own_data_set_is_read_by_itself(tmp_path, trained, capsys):
    """Whatever it calls `file_list`; one without images leaves noise."""
    for length, told in (
        (3, "on 3 of the config's validation images"),
        (0, "on images of seeded noise\n"),
    ):
        dataset = {"type": "OwnScans", "length": length}
        dic = {"model": MODEL, "imports": ["exporting"], "val_dataset": dataset}
        config = tiny.write_yaml(tmp_path / "c.yml", dic)
        tiny.export(**flags((config, *trained[1:]), tmp_path / "out", format="onnx"))
        assert told in capsys.readouterr().out


def test_sizes_that_no_image_has_are_compared_too(tmp_path, trained, monkeypatch):
    right = onnx_file._runner

    def wrong_for_several(path, output_op):
        run = right(path, output_op)
        return lambda batch: [-output if len(batch) > 1 else output for output in run(batch)]

    monkeypatch.setattr(onnx_file, "_runner", wrong_for_several)
    with pytest.raises(UserError, match="is wrong and was not kept: .* on images of seeded noise of other"):
        tiny.export(**flags(trained, tmp_path / "out", format="onnx", output_op="none"))
    tiny.export(
        **flags(trained, tmp_path / "out", format="onnx", output_op="none", input_shape=[1, 3, 32, 32])
    )

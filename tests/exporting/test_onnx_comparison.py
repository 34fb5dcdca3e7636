"""An ONNX file is compared with its model: by classes, and by the scores behind them."""

import functools
import os

import cv2
import numpy as np
import paddle
import paddle.nn as nn
import pytest
import tiny
from exporting import MODEL, converts, export, model_of, with_transforms
from paddle.nn.functional import adaptive_avg_pool2d

from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.errors import UserError
from paddleseg.exporting.exporter import ExportedModel
from paddleseg.exporting.onnx_comparison import FLOAT16, FLOAT32, compare
from paddleseg.graphs import onnx_file
from paddleseg.options import ExportOptions

pytestmark = converts


def by_name(x):
    """Call the pooling as a user's module does that has imported it by name."""
    return adaptive_avg_pool2d(x, (3, 5))


def bounded(x):
    """Call an operation of which paddle2onnx loses the bounds: it takes -1 and 1."""
    return nn.functional.hardtanh(x, -0.2, 0.1)


OPERATIONS = {"pooling": by_name, "bounds": bounded}


@manager.MODELS.add_component
class FirstWins(nn.Layer):
    """A user's model in which class 0 wins everywhere; an operation computes the other class's logits."""

    def __init__(self, operation: str = "pooling", num_classes: int = 2):
        super().__init__()
        self.operation = OPERATIONS[operation]
        self.scale = self.create_parameter([1], default_initializer=nn.initializer.Constant(3.0))

    def forward(self, x):
        other = self.operation(x).mean(axis=1, keepdim=True)
        other = nn.functional.interpolate(other, x.shape[2:], mode="bilinear")
        return [paddle.concat([self.scale + 0 * other, other], axis=1)]


@pytest.mark.parametrize(
    ("operation", "output_op"),
    [("pooling", "argmax"), ("pooling", "softmax"), ("pooling", "none"), ("bounds", "argmax")],
)
def test_a_file_with_the_models_classes_but_other_scores_is_refused(tmp_path, operation, output_op):
    """paddle2onnx pools over windows of one size; 7 x 23 places in 3 x 5 bins need several sizes."""
    given = model_of(tmp_path, {"type": "FirstWins", "operation": operation})
    options = {"format": "onnx", "output_op": output_op, "input_shape": [2, 3, 7, 23]}
    message = r"100\.0000% of 644 pixels have the same class .*, but .*% have logits or prob"
    with pytest.raises(UserError, match=message):
        export(given, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output_op", ["argmax", "softmax", "none"])
def test_a_pooling_whose_bins_divide_the_size_is_accepted(tmp_path, output_op):
    import onnxruntime

    options = {"format": "onnx", "output_op": output_op, "input_shape": [2, 3, 6, 20]}
    export(model_of(tmp_path, {"type": "FirstWins"}), tmp_path / "out", **options)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["deploy.yaml", "model.onnx"]
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    assert len(session.get_outputs()) == 1


class Changed(nn.Layer):
    """What an `ExportedModel` gives, changed by a function of the output and the input."""

    def __init__(self, exported, change):
        super().__init__()
        self.exported, self.change = exported, change

    def forward(self, x):
        return self.change(self.exported(x), x)


class Recording(ExportedModel):
    """An exported model that notes the batches on which it is compared."""

    def scores(self, x):
        if paddle.in_dynamic_mode():
            self.batches.append(x.numpy())
        return super().scores(x)


@pytest.fixture(scope="module")
def file_of(trained, tmp_path_factory):
    """A function that returns the path of the ONNX file of the trained model, or of a changed one.

    Each file is written once, since this takes a process that imports Paddle.
    """

    @functools.lru_cache(maxsize=None)
    def write(shape, change, output_op):
        layer = exported_model(ExportedModel, trained, output_op)
        layer = Changed(layer, change) if change else layer
        layer.eval()
        folder = tmp_path_factory.mktemp("file")
        return folder / onnx_file.write(layer, str(folder), list(shape))

    return write


def exported_model(kind, trained, output_op):
    """Return the trained model as an `ExportedModel` of this kind, in eval mode."""
    cfg = Config(trained[0], sections=("model", "export"), required=("model",))
    exported = kind(SegBuilder(cfg).trained_model(trained[1], "export"), output_op)
    exported.eval()
    return exported


@pytest.fixture
def compared(tmp_path, trained, file_of):
    """A function that compares the trained model with its ONNX file, or with that of a changed model.

    compared(config, shape, change, file, **options) returns the batches that both were run on; `config` is
    another one of the same model, and `file` is the content of an ONNX file instead.
    """

    def run(
        config=None, shape=(-1, 3, -1, -1), change=None, file=None, file_shape=None, limits=FLOAT32, **options
    ):
        options = ExportOptions(format="onnx", **options)
        exported = exported_model(Recording, trained, options.output_op)
        exported.batches = []
        path = tmp_path / "file.onnx"
        path.write_bytes(file or file_of(file_shape or shape, change, options.output_op).read_bytes())
        sections = ("model", "val_dataset", "export")
        cfg = Config(config or trained[0], sections=sections, required=("model",))
        compare(str(path), exported, cfg, options, list(shape), limits)
        return exported.batches

    return run


def other_classes(output, x):
    return 1 - output


def one_pixel(output, x):
    return output + paddle.to_tensor(np.eye(1, 10240, dtype="int32").reshape(1, 128, 80))


def two_pixels(output, x):
    return output + paddle.to_tensor((np.arange(10240) < 2).astype("int32").reshape(1, 128, 80))


def negative_for_several(output, x):
    return output * (1 - 2 * (paddle.shape(x)[0] > 1).astype("float32"))


def test_a_file_with_other_classes_is_refused(compared):
    with pytest.raises(UserError, match=r"is wrong and was deleted: 0\.0000%.*; at least 99\.99% must"):
        compared(shape=(1, 3, 32, 32), change=other_classes)


def too_large(output, x):
    return output * 1e38 * 1e38


def opposite(output, x):
    return -output


@pytest.mark.parametrize(
    ("change", "reason"),
    [(too_large, "cannot be fp16, whose largest number is 65504"), (opposite, "loses too much in fp16")],
)
def test_an_overflow_is_the_reason_only_where_a_number_is_not_finite(compared, change, reason):
    """Files in float32 stand for float16, which onnxruntime mostly computes in float32 on a CPU."""
    with pytest.raises(UserError, match=f"^this model {reason}: "):
        compared(shape=(1, 3, 32, 32), change=change, output_op="none", limits=FLOAT16)


@pytest.mark.parametrize(("change", "accepted"), [(one_pixel, True), (two_pixels, False)])
def test_one_pixel_of_ten_thousand_may_have_another_class(tmp_path, compared, change, accepted):
    """Rounding changes as few as one of the image's 10240."""
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 256, (128, 80, 3)))
    given = {"shape": (1, 3, 128, 80), "change": change, "images": [str(tmp_path / "a.png")]}
    if accepted:
        compared(**given)
    else:
        with pytest.raises(UserError, match=r"99\.9805% of 10240 pixels .*; at least 99\.99% must"):
            compared(**given)


def test_images_go_through_the_deployed_transforms(tmp_path, trained, compared):
    transforms = [{"type": "Resize", "target_size": [64, 96]}, {"type": "Normalize", "mean": [0.1]}]
    batches = compared(with_transforms(tmp_path, trained, *transforms)[0], max_images=2)
    assert [batch.shape for batch in batches[:2]] == [(1, 3, 96, 64)] * 2
    picture = cv2.imread(os.path.join(trained[2], "JPEGImages", "val_0.jpg"))[..., ::-1]
    expected = (cv2.resize(picture.astype("float32"), (64, 96)) / 255 - 0.1) / 0.5
    np.testing.assert_allclose(batches[0][0], expected.transpose(2, 0, 1), rtol=1e-4, atol=1e-4)


def test_other_sizes_than_the_images_are_compared_too(compared):
    with pytest.raises(UserError, match="is wrong and was deleted: .* on images of seeded noise of other"):
        compared(change=negative_for_several, output_op="none")
    batches = compared(shape=(1, 3, 32, 32), change=negative_for_several, output_op="none")
    assert {batch.shape for batch in batches} == {(1, 3, 32, 32)}


def test_a_file_that_onnxruntime_cannot_load_is_called_by_its_final_name(compared, tmp_path):
    with pytest.raises(UserError, match=r"that onnxruntime cannot load: .*model\.onnx") as refused:
        compared(file=b"not ONNX")
    assert str(tmp_path) not in str(refused.value)


def test_a_file_that_onnxruntime_cannot_run_is_refused(compared):
    """A file for another size stands for any failure while it runs."""
    with pytest.raises(UserError, match=r"cannot run on an input of \[1, 3, 32, 32\]: .*48"):
        compared(file_shape=(1, 3, 48, 40))


def test_the_log_says_which_images_were_compared(trained, compared, tmp_path, capsys):
    compared()
    assert "on 5 of the config's validation images" in capsys.readouterr().out
    images = [os.path.join(trained[2], "JPEGImages")]
    compared(shape=(2, 3, 48, 40), images=images, max_images=3)
    assert "on 3 given images" in capsys.readouterr().out
    dataset = {"_base_": trained[0], "val_dataset": {"dataset_root": "nowhere"}}
    compared(tiny.write_yaml(tmp_path / "c.yml", dataset))
    assert "on images of seeded noise\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("length", "source"), [(3, "on 3 of the config's validation images"), (0, "on images of seeded noise\n")]
)
def test_a_users_data_set_reads_its_files_itself(tmp_path, compared, capsys, length, source):
    """Whatever its `file_list` holds; one without images leaves noise."""
    dic = {"model": MODEL, "imports": ["exporting"], "val_dataset": {"type": "OwnScans", "length": length}}
    compared(tiny.write_yaml(tmp_path / "c.yml", dic))
    assert source in capsys.readouterr().out

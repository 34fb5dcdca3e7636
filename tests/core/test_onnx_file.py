"""An ONNX file is compared with its model: in classes, and in the numbers that no class shows."""

import paddle
import paddle.nn as nn
import pytest
import tiny
from exporting import converts, flags
from paddle.nn.functional import adaptive_avg_pool2d

from paddleseg.core.export import export
from paddleseg.cvlibs import manager
from paddleseg.errors import UserError

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
        export(flags(first_wins(tmp_path, operation), tmp_path / "out", **given))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output_op", ["argmax", "softmax", "none"])
def test_a_pooling_whose_bins_divide_the_size_is_kept(tmp_path, output_op):
    import onnxruntime

    given = {"format": "onnx", "output_op": output_op, "input_shape": [2, 3, 6, 20]}
    export(flags(first_wins(tmp_path, "pooling"), tmp_path / "out", **given))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["deploy.yaml", "model.onnx"]
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    assert len(session.get_outputs()) == 1

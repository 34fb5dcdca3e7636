"""An ONNX file is compared with its model: in classes, and in the numbers that no class shows."""

import paddle
import paddle.nn as nn
import pytest
import tiny
from exporting import PADDLE_3, flags
from paddle.nn.functional import adaptive_avg_pool2d

from paddleseg.core.export import export
from paddleseg.cvlibs import manager
from paddleseg.errors import UserError

pytestmark = pytest.mark.skipif(not PADDLE_3, reason="the converter needs Paddle 3")


@manager.MODELS.add_component
class PoolsByName(nn.Layer):
    """A user's model, whose module has imported the pooling by its name; class 0 wins everywhere."""

    def __init__(self, num_classes: int = 2):
        super().__init__()
        self.scale = self.create_parameter([1], default_initializer=nn.initializer.Constant(3.0))

    def forward(self, x):
        pooled = adaptive_avg_pool2d(x, (3, 5)).mean(axis=1, keepdim=True)
        second = nn.functional.interpolate(pooled, x.shape[2:], mode="bilinear")
        return [paddle.concat([self.scale + 0 * second, second], axis=1)]


@pytest.fixture
def pooling(tmp_path):
    """The config of `PoolsByName`, its weights, and no data: it is compared on noise."""
    config = tiny.write_yaml(tmp_path / "c.yml", {"model": {"type": "PoolsByName", "num_classes": 2}})
    return config, tiny.save_weights(tmp_path / "model.pdparams", PoolsByName()), None


@pytest.mark.parametrize("output_op", ["argmax", "softmax", "none"])
def test_a_file_with_the_models_classes_and_other_numbers_is_not_kept(tmp_path, pooling, output_op):
    """paddle2onnx takes windows of one size, where 7 and 23 places have several."""
    told = r"100\.0000% of 644 pixels have the same class .*, but .*% have logits or prob"
    with pytest.raises(UserError, match=told):
        export(
            flags(pooling, tmp_path / "out", format="onnx", output_op=output_op, input_shape=[2, 3, 7, 23])
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output_op", ["argmax", "softmax", "none"])
def test_a_pooling_whose_bins_divide_the_size_is_kept(tmp_path, pooling, output_op):
    import onnxruntime

    export(flags(pooling, tmp_path / "out", format="onnx", output_op=output_op, input_shape=[2, 3, 6, 20]))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["deploy.yaml", "model.onnx"]
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    assert len(session.get_outputs()) == 1

import numpy as np
import paddle
import paddle.nn as nn

from paddleseg.core.predict import predict


class Halves(nn.Layer):
    """Class 1 in the right half of the image."""

    def forward(self, x):
        right = paddle.arange(x.shape[3]).astype("float32") - x.shape[3] / 2 + 0.5
        return [paddle.stack([-right, right]).reshape([1, 2, 1, -1]).expand([1, 2, x.shape[2], x.shape[3]])]


def test_the_mask_has_the_size_that_was_asked_for():
    mask = predict(Halves(), np.zeros((3, 4, 8), "float32"), (6, 20))
    assert mask.dtype == np.uint8
    expected = np.zeros((6, 20), "uint8")
    expected[:, 10:] = 1
    np.testing.assert_array_equal(mask, expected)

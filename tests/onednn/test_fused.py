"""A frozen convolution, batch norm and ReLU as one convolution, against the layers one by one."""

import numpy as np
import paddle
import pytest

from paddleseg import onednn
from paddleseg.models.layers import ConvBNReLU
from paddleseg.onednn import library

pytestmark = pytest.mark.skipif(
    library.why_not() is not None, reason="Paddle's wheel brings no such oneDNN here"
)


@pytest.fixture(autouse=True)
def _onednn():
    """Let oneDNN compute in each test, and Paddle afterwards."""
    onednn.use_engine("onednn")
    yield
    onednn.use_engine("paddle")


@pytest.fixture
def block():
    """A frozen `ConvBNReLU` with a bias and statistics of its own, and images for it."""
    paddle.seed(3)
    made = ConvBNReLU(3, 5, 3)
    rng = np.random.default_rng(0)
    for tensor in made.state_dict().values():
        tensor.set_value(rng.uniform(0.5, 1.5, tensor.shape).astype("float32") * np.sign(rng.random() - 0.3))
    made._batch_norm._variance.set_value(rng.uniform(0.5, 2, [5]).astype("float32"))
    made.eval()
    onednn.freeze(made)
    return made, paddle.to_tensor(rng.standard_normal((2, 3, 9, 8)).astype("float32"))


def one_by_one(block, x):
    """Return what the layers give in float64."""
    conv, norm = block._conv, block._batch_norm
    weight, bias, scale, shift, mean, variance = (
        tensor.numpy().astype("float64")
        for tensor in (conv.weight, conv.bias, norm.weight, norm.bias, norm._mean, norm._variance)
    )
    padded = np.pad(x.numpy().astype("float64"), ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = sum(
        np.einsum("nchw,oc->nohw", padded[:, :, i : i + 9, j : j + 8], weight[:, :, i, j])
        for i in range(3)
        for j in range(3)
    )
    y = y + bias.reshape(1, -1, 1, 1)
    factor = (scale / np.sqrt(variance + norm._epsilon)).reshape(1, -1, 1, 1)
    return np.maximum((y - mean.reshape(1, -1, 1, 1)) * factor + shift.reshape(1, -1, 1, 1), 0)


@paddle.no_grad()
def test_a_frozen_block_is_one_convolution_with_the_same_output(block):
    made, x = block
    fused = onednn.fused(made._conv, made._batch_norm, x, relu=True)
    np.testing.assert_allclose(fused.numpy(), one_by_one(made, x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(made(x).numpy(), fused.numpy())


def test_blocks_that_are_trained_hooked_or_not_frozen_are_left_alone(block):
    made, x = block
    conv, norm = made._conv, made._batch_norm
    assert onednn.fused(conv, norm, x, relu=True) is None  # a gradient may be wanted
    with paddle.no_grad():
        assert onednn.fused(conv, norm, x, relu=True) is not None
        hook = conv.register_forward_post_hook(lambda *_: None)
        assert onednn.fused(conv, norm, x, relu=True) is None
        hook.remove()
        norm.train()
        assert onednn.fused(conv, norm, x, relu=True) is None
        norm.eval()
        unfrozen = ConvBNReLU(3, 5, 3)
        unfrozen.eval()
        assert onednn.fused(unfrozen._conv, unfrozen._batch_norm, x, relu=True) is None
        onednn.use_engine("paddle")
        assert onednn.fused(conv, norm, x, relu=True) is None

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
    """Let oneDNN compute in each test."""
    onednn.use_engine("onednn")


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
def test_a_batch_norm_without_weight_and_bias_is_folded(block):
    made, x = block
    made._batch_norm.weight.set_value(paddle.ones([5]))
    made._batch_norm.bias.set_value(paddle.zeros([5]))
    expected = one_by_one(made, x)
    made._batch_norm.weight = made._batch_norm.bias = None
    fused = onednn.fused(made._conv, made._batch_norm, x, relu=True)
    np.testing.assert_allclose(fused.numpy(), expected, rtol=1e-4, atol=1e-4)


@paddle.no_grad()
def test_a_frozen_block_is_one_convolution_with_the_same_output(block):
    made, x = block
    fused = onednn.fused(made._conv, made._batch_norm, x, relu=True)
    np.testing.assert_allclose(fused.numpy(), one_by_one(made, x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(made(x).numpy(), fused.numpy())


def test_blocks_that_are_trained_hooked_or_not_frozen_are_left_alone(block):
    made, x = block
    conv, norm = made._conv, made._batch_norm

    def is_fused(x=x):
        return onednn.fused(conv, norm, x, relu=True) is not None

    assert not is_fused()  # the weights may have gradients
    for parameter in made.parameters():
        parameter.stop_gradient = True
    assert is_fused()
    wanting = x.clone()
    wanting.stop_gradient = False
    assert not is_fused(wanting)
    with paddle.no_grad():
        assert is_fused(wanting)
    hook = conv.register_forward_post_hook(lambda *_: None)
    assert not is_fused()
    hook.remove()
    norm.train()
    assert not is_fused()
    norm.eval()
    norm._use_global_stats = False  # the statistics of the batch
    assert not is_fused()
    norm._use_global_stats = None
    onednn.use_engine("paddle")
    assert not is_fused()


def test_a_frozen_model_gives_the_same_bits_with_and_without_gradients_enabled(block):
    made, x = block
    for parameter in made.parameters():
        parameter.stop_gradient = True
    with paddle.no_grad():
        wanted = made(x).numpy()
    np.testing.assert_array_equal(made(x).numpy(), wanted)


@paddle.no_grad()
def test_a_block_that_is_not_frozen_is_not_fused():
    made = ConvBNReLU(3, 5, 3)
    made.eval()
    assert onednn.fused(made._conv, made._batch_norm, paddle.ones([1, 3, 8, 8]), relu=True) is None


def _load(made):
    made.set_state_dict(ConvBNReLU(3, 5, 3).state_dict())


def _average(made):
    made._conv.weight.set_value(0.9 * made._conv.weight + 0.1)


def _zero_an_input_channel(made):
    weight = made._conv.weight.numpy()
    weight[:, 1] = 0
    made._conv.weight.set_value(weight)


def _shift_the_mean(made):
    made._batch_norm._mean.set_value(made._batch_norm._mean + 1)


def _replace(made):
    made._conv.weight = ConvBNReLU(3, 5, 3)._conv.weight


@paddle.no_grad()
@pytest.mark.parametrize("change", [_load, _average, _zero_an_input_channel, _shift_the_mean, _replace])
def test_weights_that_change_after_all_are_folded_anew(block, change):
    made, x = block
    before = made(x).numpy()
    change(made)
    after = made(x).numpy()
    np.testing.assert_allclose(after, one_by_one(made, x), rtol=1e-4, atol=1e-4)
    assert np.abs(after - before).max() > 1e-2


class Sevens(paddle.nn.Conv2D):
    """A convolution of a class of a user's own."""

    def forward(self, x):
        return super().forward(x) * 0 + 7


@paddle.no_grad()
def test_a_convolution_of_a_derived_class_computes_as_it_says():
    made = ConvBNReLU(3, 5, 3)
    made._conv = Sevens(3, 5, 3, padding=1)
    made.eval()
    onednn.freeze(made)
    np.testing.assert_allclose(made(paddle.ones([1, 3, 8, 8])).numpy(), 7, rtol=1e-4)

"""Gradients of convolutions by oneDNN where a graph is used in unusual ways, against Paddle's."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from paddleseg import onednn
from paddleseg.errors import UserError, refusals_of_backward
from paddleseg.onednn import library

pytestmark = pytest.mark.skipif(
    library.why_not() is not None, reason="Paddle's wheel brings no such oneDNN here"
)
paddle_3 = pytest.mark.skipif(
    paddle.__version__.startswith("2."), reason="Paddle 2 gives the tensors of a list wrong gradients"
)


@pytest.fixture(autouse=True)
def _onednn():
    """Let oneDNN compute in each test."""
    onednn.use_engine("onednn")


def operands():
    """Return new tensors x, 1 x 4 x 6 x 6, and weight, 4 x 4 x 3 x 3, that want gradients."""
    rng = np.random.default_rng(0)
    made = [
        paddle.to_tensor(rng.standard_normal(shape).astype("float32"))
        for shape in ([1, 4, 6, 6], [4, 4, 3, 3])
    ]
    for one in made:
        one.stop_gradient = False
    return made


def twice(conv2d, x, weight):
    """Return a number that two convolutions with the same weight decide."""
    return (conv2d(F.relu(conv2d(x, weight, None, 1, 1)), weight, None, 1, 1) ** 2).sum()


def close(found, wanted):
    for one, other in zip(found, wanted):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-4)


def test_a_weight_that_is_used_twice_has_both_gradients():
    ours, paddles = operands(), operands()
    twice(onednn.conv2d, *ours).backward()
    twice(F.conv2d, *paddles).backward()
    close([one.grad for one in ours], [one.grad for one in paddles])


@paddle_3
@pytest.mark.parametrize("parts", [(0,), (1,), (1, 0)], ids=["input", "weight", "both"])
def test_a_part_of_the_gradients_can_be_asked_for_and_nothing_else_changes(parts):
    ours, paddles = operands(), operands()
    y = twice(onednn.conv2d, *ours)
    found = paddle.grad(y, [ours[part] for part in parts], retain_graph=True)
    close(found, paddle.grad(twice(F.conv2d, *paddles), [paddles[part] for part in parts]))
    assert all(one.grad is None for one in ours)
    y.backward()  # after `paddle.grad` the graph can still be used
    assert all(one.grad is not None for one in ours)


@paddle_3
def test_a_penalty_on_the_gradient_of_the_input_trains_the_weight_as_with_paddle():
    def gradient(conv2d):
        x, weight = operands()
        of_x = paddle.grad(twice(conv2d, x, weight), x, create_graph=True)[0]
        (of_x**2).sum().backward()
        return weight.grad / weight.grad.abs().max()

    close([gradient(onednn.conv2d)], [gradient(F.conv2d)])


@pytest.mark.parametrize("changed", [0, 1], ids=["input", "weight"])
def test_a_change_in_place_before_the_gradient_is_refused(changed):
    leaves = operands()
    tensors = [leaf * 1 for leaf in leaves]
    y = onednn.conv2d(*tensors)
    tensors[changed].add_(paddle.ones([1]))
    with pytest.raises(UserError) as raised, refusals_of_backward():
        y.sum().backward()
    assert str(raised.value) == "a convolution's input or weight was changed in place before its gradient"


def test_a_second_backward_pass_is_refused_and_does_not_crash():
    y = twice(onednn.conv2d, *operands())
    y.backward(retain_graph=True)
    with pytest.raises(
        OSError, match="a second backward pass through a convolution needs conv_engine paddle"
    ):
        y.backward()

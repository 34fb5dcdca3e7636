"""Convolutions by oneDNN against NumPy in float64, for every kind of shape that the rules tell apart."""

import copy
import gc
import os
import subprocess
import sys
import threading

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from paddleseg import onednn
from paddleseg.errors import UserError
from paddleseg.onednn import library
from paddleseg.onednn.convolution import worthwhile
from paddleseg.onednn.plans import PLANS, Shape

pytestmark = pytest.mark.skipif(
    library.why_not() is not None, reason="Paddle's wheel brings no such oneDNN here"
)

# x, weight, stride, (top, bottom, left, right), dilation, groups.
CASES = {
    "plain": ((2, 3, 9, 7), (4, 3, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    "batch of 1, odd map": ((1, 5, 7, 11), (3, 5, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    "stride": ((2, 4, 9, 8), (6, 4, 3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1),
    "asymmetric": ((1, 4, 8, 6), (2, 4, 5, 3), (2, 1), (0, 1, 2, 1), (1, 1), 1),
    "large kernel": ((1, 2, 12, 12), (4, 2, 7, 7), (2, 2), (3, 3, 3, 3), (1, 1), 1),
    "dilated": ((2, 8, 13, 10), (6, 8, 3, 3), (1, 1), (6, 6, 6, 6), (6, 6), 1),
    "dilated beyond one side": ((1, 4, 13, 5), (6, 4, 3, 3), (1, 1), (6, 6, 6, 6), (6, 6), 1),
    "dilated beyond the map": ((2, 4, 5, 4), (3, 4, 3, 3), (1, 1), (12, 12, 12, 12), (12, 12), 1),
    "depthwise": ((2, 6, 9, 9), (6, 1, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 6),
    "depthwise, stride": ((2, 6, 9, 9), (6, 1, 3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 6),
    "depthwise, dilated": ((2, 6, 9, 9), (6, 1, 3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 6),
    "depthwise, dilated beyond the map": ((2, 6, 5, 5), (6, 1, 3, 3), (1, 1), (6, 6, 6, 6), (6, 6), 6),
    "groups": ((2, 6, 7, 8), (9, 2, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 3),
    "1 x 1": ((2, 6, 7, 8), (9, 6, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
}


@pytest.fixture(autouse=True)
def _onednn():
    """Let oneDNN compute in each test."""
    onednn.use_engine("onednn")


def windows(x, kernel, stride, pads, dilation):
    """Yield (row, column, the pixels that this tap of a kernel meets) of x, N x C x H x W."""
    top, bottom, left, right = pads
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    height, width = (
        (length - step * (taps - 1) - 1) // by + 1
        for length, step, taps, by in zip(padded.shape[2:], dilation, kernel, stride)
    )
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            y, z = row * dilation[0], column * dilation[1]
            slices = (slice(y, y + height * stride[0], stride[0]), slice(z, z + width * stride[1], stride[1]))
            yield row, column, padded[(slice(None), slice(None), *slices)][:, :, :height, :width]


def expected(x, weight, stride, pads, dilation, groups):
    """Return the convolution of float64 arrays."""
    per_in, per_out = x.shape[1] // groups, weight.shape[0] // groups
    parts = []
    for g in range(groups):
        own, kernel = x[:, g * per_in : (g + 1) * per_in], weight[g * per_out : (g + 1) * per_out]
        parts.append(
            sum(
                np.einsum("nchw,oc->nohw", seen, kernel[:, :, row, column])
                for row, column, seen in windows(own, weight.shape[2:], stride, pads, dilation)
            )
        )
    return np.concatenate(parts, axis=1)


def arrays(case):
    rng = np.random.default_rng(0)
    x_shape, weight_shape, *_ = case
    return (
        rng.standard_normal(x_shape),
        rng.standard_normal(weight_shape),
        rng.standard_normal(weight_shape[0]),
    )


def tensor(array):
    made = paddle.to_tensor(array.astype("float32"))
    made.stop_gradient = False
    return made


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("name", CASES)
def test_output_and_gradients_are_those_of_numpy(name):
    case = CASES[name]
    _, _, stride, pads, dilation, groups = case
    x, weight, bias = arrays(case)
    geometry = (list(stride), list(pads), list(dilation), groups)
    tensors = [tensor(array) for array in (x, weight, bias)]
    y = onednn.conv2d(*tensors, *geometry)
    wanted = expected(x, weight, stride, pads, dilation, groups)
    close(y.numpy(), wanted + bias.reshape(1, -1, 1, 1))
    gradient = np.random.default_rng(1).standard_normal(wanted.shape)
    (y * paddle.to_tensor(gradient.astype("float32"))).sum().backward()
    # The convolution is linear in each: a gradient is the change of the sum that a direction makes.
    rng = np.random.default_rng(2)
    for found, array, shape in zip(tensors[:2], (x, weight), (x.shape, weight.shape)):
        direction = rng.standard_normal(shape)
        moved = (direction, weight) if array is x else (x, direction)
        slope = (expected(*moved, stride, pads, dilation, groups) * gradient).sum()
        assert (found.grad.numpy() * direction).sum() == pytest.approx(slope, rel=1e-4, abs=1e-3)
    close(tensors[2].grad.numpy(), gradient.sum((0, 2, 3)))
    with paddle.no_grad():
        close(onednn.conv2d(*tensors, *geometry).numpy(), wanted + bias.reshape(1, -1, 1, 1))


@pytest.mark.parametrize(
    ("padding", "stride", "size"), [("same", 1, 9), ("same", 2, 8), ("SAME", 3, 10), ("valid", 2, 9)]
)
def test_named_paddings_are_paddles(padding, stride, size):
    x, weight = paddle.randn([2, 3, size, size + 1]), paddle.randn([4, 3, 3, 3])
    ours = onednn.conv2d(x, weight, None, stride, padding)
    close(ours.numpy(), F.conv2d(x, weight, None, stride, padding).numpy())


def test_the_rules_are_fixed_functions_of_the_shape():
    def shape(x, weight, dilation=(1, 1), groups=1):
        pads = tuple(step * (kernel // 2) for step, kernel in zip(dilation, weight[2:]))
        return Shape(x, weight, (1, 1), dilation, (pads, pads), groups)

    assert not worthwhile(shape((4, 8, 16, 16), (8, 8, 1, 1)), with_gradient=True)
    assert worthwhile(shape((4, 8, 16, 16), (8, 8, 3, 3)), with_gradient=True)
    depthwise = shape((4, 8, 16, 16), (8, 1, 3, 3), (6, 6), 8)
    assert worthwhile(depthwise, with_gradient=False)
    assert not worthwhile(depthwise, with_gradient=True)
    assert worthwhile(depthwise._replace(dilation=(24, 24), pads=((24, 24), (24, 24))), with_gradient=True)


@pytest.fixture
def planned(monkeypatch):
    """The shapes that oneDNN has computed."""
    shapes, of = [], PLANS.of

    def noting(shape):
        shapes.append(shape)
        return of(shape)

    monkeypatch.setattr(PLANS, "of", noting)
    return shapes


def test_all_else_goes_to_paddle(planned):
    layer = onednn.Conv2D(3, 4, 3)
    x = paddle.randn([1, 3, 6, 6])
    layer(x)
    assert len(planned) == 1
    onednn.conv2d(x.astype("float64"), layer.weight.astype("float64"))
    onednn.Conv2D(3, 4, 3, padding=1, padding_mode="reflect")(x)
    paddle.jit.to_static(layer, input_spec=[paddle.static.InputSpec([1, 3, 6, 6])], full_graph=True)(x)
    with paddle.amp.auto_cast(level="O1", dtype="bfloat16"):
        layer(x)
    onednn.use_engine("paddle")
    layer(x)
    assert len(planned) == 1


@pytest.mark.skipif(paddle.__version__.startswith("2."), reason="Paddle 2 has no operator for it in Python")
def test_a_gradient_of_a_gradient_is_paddles():
    def penalty(conv2d):
        paddle.seed(2)
        x, weight = (tensor(paddle.randn(shape).numpy()) for shape in ([1, 2, 5, 5], [3, 2, 3, 3]))
        gradients = paddle.grad((conv2d(x, weight, None, 1, 1) ** 2).sum(), [x, weight], create_graph=True)
        sum((gradient**2).sum() for gradient in gradients).backward()
        return x.grad.numpy(), weight.grad.numpy()

    for ours, wanted in zip(penalty(onednn.conv2d), penalty(F.conv2d)):
        close(ours, wanted)


def test_tensors_that_are_not_contiguous_are_read_right():
    x, weight = (
        paddle.randn([2, 6, 5, 3]).transpose([0, 3, 1, 2]),
        paddle.randn([3, 3, 4, 2]).transpose([3, 0, 1, 2]),
    )
    close(onednn.conv2d(x, weight).numpy(), F.conv2d(x, weight).numpy())


def test_adopted_layers_keep_weights_names_hooks_and_copies():
    model = paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 3), paddle.nn.ReLU(), paddle.nn.Conv2D(4, 2, 3))
    keys, seen = list(model.state_dict()), []
    model[0].register_forward_post_hook(lambda *_: seen.append(1))
    x = paddle.randn([1, 3, 9, 9])
    before = model(x).numpy()
    assert onednn.adopt(model) is model
    assert list(model.state_dict()) == keys
    close(model(x).numpy(), before)
    close(copy.deepcopy(model)(x).numpy(), before)
    assert len(seen) == 3


def test_the_same_bits_come_again_and_in_every_thread():
    x, weight = paddle.randn([2, 8, 12, 12]), paddle.randn([8, 8, 3, 3])
    first = onednn.conv2d(x, weight, None, 1, 1).numpy()
    found = []

    def compute():
        for _ in range(5):
            with paddle.no_grad():
                found.append(onednn.conv2d(x, weight, None, 1, 1).numpy())

    threads = [threading.Thread(target=compute) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all((one == first).all() for one in found)


FORKED = """
import os
import paddleseg  # first, since it loads zlib before Paddle
import paddle
from paddleseg import onednn
x, weight = paddle.randn([2, 8, 12, 12]), paddle.randn([8, 8, 3, 3])
wanted = onednn.conv2d(x, weight, None, 1, 1).numpy()
assert onednn.engine() == "onednn"
pid = os.fork()
if not pid:
    same = (onednn.conv2d(x, weight, None, 1, 1).numpy() == wanted).all()
    os._exit(0 if same else 1)
raise SystemExit(os.waitpid(pid, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_after_use_computes_the_same(repository):
    # In a process of its own: a fork of this one may meet a lock that a thread of another library holds.
    environment = {**os.environ, "PADDLESEG_CONV_ENGINE": "onednn", "PYTHONPATH": str(repository)}
    command = [sys.executable, "-W", "ignore", "-c", FORKED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_plans_are_bounded_and_leave_nothing_behind():
    def owned(widths):
        for width in widths:
            with paddle.no_grad():
                onednn.conv2d(paddle.zeros([1, 1, 4, width]), paddle.zeros([1, 1, 3, 3]))
        gc.collect()
        return sum(isinstance(one, library.Owned) for one in gc.get_objects())

    first = owned(range(6, 6 + 300))
    assert first > len(PLANS) == 256
    assert owned(range(306, 306 + 300)) <= first


def test_an_engine_that_is_unknown_or_not_to_be_had_is_refused(monkeypatch):
    with pytest.raises(UserError, match="conv_engine: unknown engine 'onnednn'; did you mean 'onednn'"):
        onednn.use_engine("onnednn")
    with monkeypatch.context() as patch:
        patch.setattr(library, "why_not", lambda: "this is a test")
        with pytest.raises(UserError, match="conv_engine onednn: this is a test; use paddle or auto"):
            onednn.use_engine("onednn")


def test_auto_is_onednn_where_it_can_be_used_unless_the_environment_names_another(monkeypatch):
    with monkeypatch.context() as patch:
        patch.delenv("PADDLESEG_CONV_ENGINE", raising=False)
        assert onednn.use_engine("auto") == onednn.engine() == "onednn"
        patch.setenv("PADDLESEG_CONV_ENGINE", "paddle")
        assert onednn.use_engine("auto") == onednn.engine() == "paddle"
        assert onednn.use_engine("onednn") == "onednn"
        patch.setenv("PADDLESEG_CONV_ENGINE", "mkl")
        with pytest.raises(UserError, match="PADDLESEG_CONV_ENGINE: unknown engine 'mkl'"):
            onednn.use_engine("auto")
        patch.delenv("PADDLESEG_CONV_ENGINE")
        patch.setattr(library, "why_not", lambda: "this is a test")
        assert onednn.use_engine("auto") == "paddle"


def test_channels_that_do_not_fit_are_refused_by_paddle():
    with pytest.raises(ValueError, match=r"\(InvalidArgument\)"):
        onednn.Conv2D(3, 4, 5)(paddle.ones([1, 2, 8, 8]))


@pytest.mark.parametrize(("stride", "dilation", "groups"), [(0, 1, 1), (1, 0, 1), (1, 1, 2)])
def test_numbers_that_are_no_convolution_are_refused_by_paddle(stride, dilation, groups):
    with pytest.raises(ValueError, match=r"than 0|divisible by groups"):
        onednn.conv2d(
            paddle.ones([1, 4, 8, 8]), paddle.ones([5, 4 // groups, 3, 3]), None, stride, 0, dilation, groups
        )


def test_a_bias_has_its_gradient_where_all_else_is_frozen():
    x, weight, bias = paddle.ones([1, 2, 4, 4]), paddle.ones([3, 2, 3, 3]), tensor(np.arange(3.0))
    y = onednn.conv2d(x, weight, bias)
    y.sum().backward()
    close(y[0, :, 0, 0].numpy(), np.array([18.0, 19, 20]))
    assert bias.grad.tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    "bias",
    [
        paddle.arange(8, dtype="float32").reshape([4, 2])[:, 0],
        paddle.arange(4, dtype="float64"),
        paddle.ones([1]),
    ],
    ids=["not contiguous", "float64", "one for all channels"],
)
def test_a_bias_of_any_form_is_added_as_paddle_adds_it(bias):
    x, weight = paddle.randn([1, 2, 5, 5]), paddle.randn([4, 2, 3, 3])
    close(onednn.conv2d(x, weight, bias).numpy(), F.conv2d(x, weight, bias).numpy())

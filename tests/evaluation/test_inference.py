"""Windows, scales and flips: against the released PaddleSeg, and against NumPy."""

import json
import pathlib
import sys

import numpy as np
import paddle
import paddle.nn as nn
import pytest
from context_net import ContextNet, set_named_weights

from paddleseg.errors import UserError
from paddleseg.evaluation.inference import classes, eval_mode, infer
from paddleseg.evaluation.photographs import predict
from paddleseg.models import DeepLabV3P, backbones
from paddleseg.options.inference import EvalConfig

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
sys.path.insert(0, str(GOLDEN))

from named_weights import image, weight  # noqa: E402

# Made by the inference of the released PaddleSeg 2.8.0 on Paddle 3.3.1, from the image of seed 7.
CASES = json.loads((GOLDEN / "inference.json").read_text())


def slide(width, height, step_x, step_y):
    return EvalConfig(is_slide=True, crop_size=[width, height], stride=[step_x, step_y])


@pytest.fixture(scope="module")
def net():
    return set_named_weights(ContextNet(), weight)


@pytest.fixture(scope="module")
def nets(net):
    backbone = backbones.ResNet18_vd(output_stride=8, multi_grid=[1, 2, 4])
    deeplab = DeepLabV3P(2, backbone, aspp_ratios=[1, 12, 24, 36])
    return {"ContextNet": net, "DeepLabV3P": set_named_weights(deeplab, weight)}


@pytest.mark.parametrize("index", range(len(CASES)))
def test_logits_are_those_of_the_released_paddleseg(nets, index):
    case = CASES[index]
    expected = np.load(GOLDEN / "inference.npz")[str(index)]
    images = paddle.to_tensor(image(1, *case["size"], seed=7))
    got = infer(
        nets[case["net"]], images, expected.shape[2:], EvalConfig(**case["config"]), case["trans_info"]
    )
    assert np.abs(got.numpy() - expected).max() < 1e-5 * np.abs(expected).max()


class Marked(nn.Layer):
    """Gives every window of a call its own logits, so that the average tells which windows lay where."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x):
        self.calls.append(x.shape)
        return [x[:, :1] * x[:, :1].mean(axis=[2, 3], keepdim=True)]


def averaged(images, width, height, step_x, step_y):
    """Return what `Marked` should give, one window after the other, in float64."""
    n, _, rows, columns = images.shape
    total, count = np.zeros((n, 1, rows, columns)), np.zeros((rows, columns))
    height, width = min(height, rows), min(width, columns)
    y = -step_y
    while y + height < rows:
        y = min(y + step_y, rows - height)
        x = -step_x
        while x + width < columns:
            x = min(x + step_x, columns - width)
            part = images[:, :1, y : y + height, x : x + width].astype("float64")
            total[:, :, y : y + height, x : x + width] += part * part.mean((2, 3), keepdims=True)
            count[y : y + height, x : x + width] += 1
    return total / count


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(
    "windows",
    [(8, 8, 8, 8), (8, 6, 3, 5), (7, 9, 7, 1), (1, 1, 1, 1), (50, 6, 50, 6), (6, 50, 1, 9), (17, 13, 5, 5)],
)
def test_overlaps_are_averaged(n, windows):
    images = np.random.default_rng(0).standard_normal((n, 3, 13, 17)).astype("float32")
    got = infer(Marked(), paddle.to_tensor(images), (13, 17), slide(*windows)).numpy()
    np.testing.assert_allclose(got, averaged(images, *windows), rtol=1e-5, atol=1e-6)


def test_windows_run_together_within_the_memory_of_the_whole():
    model = Marked()
    infer(model, paddle.ones([2, 3, 16, 16]), (16, 16), slide(8, 8, 4, 4))
    assert [shape[0] for shape in model.calls] == [8, 8, 2]
    assert sum(shape[0] for shape in model.calls) == 2 * 9


@pytest.mark.parametrize("crop", [(61, 45), (61, 90), (500, 500)])
def test_a_window_that_holds_the_image_is_the_whole(net, crop):
    images = paddle.to_tensor(image(2, 45, 61, seed=3))
    whole = infer(net, images, (45, 61))
    assert (infer(net, images, (45, 61), slide(*crop, 20, 20)) == whole).all()


@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("vertical", [False, True])
def test_a_flipped_image_gives_the_flipped_logits(net, horizontal, vertical):
    config = EvalConfig(aug_eval=True, scales=[1.0, 0.6], flip_horizontal=horizontal, flip_vertical=vertical)
    axes = [axis for axis, flipped in ((3, horizontal), (2, vertical)) if flipped]
    images = paddle.to_tensor(image(1, 21, 30, seed=3))
    logits = infer(net, images, (21, 30), config)
    flipped = infer(net, paddle.flip(images, axes) if axes else images, (21, 30), config)
    flipped_back = paddle.flip(flipped, axes) if axes else flipped
    np.testing.assert_allclose(logits.numpy(), flipped_back.numpy(), atol=1e-5)
    if axes:  # which the net alone does not do
        alone = infer(net, paddle.flip(images, axes), (21, 30))
        assert np.abs(paddle.flip(alone, axes).numpy() - infer(net, images, (21, 30)).numpy()).max() > 0.1


class Coarse(ContextNet):
    """Logits at a quarter of the image's size, as models before their last upsampling have."""

    def forward(self, x):
        return [nn.functional.avg_pool2d(super().forward(x)[0], 4)]


@pytest.mark.parametrize("config", [EvalConfig(), slide(16, 16, 8, 8), EvalConfig(aug_eval=True)])
def test_coarse_logits_and_padding_go_together(config):
    coarse, fine = (set_named_weights(kind(), weight) for kind in (Coarse, ContextNet))
    images = paddle.to_tensor(image(1, 32, 32, seed=5))
    trans_info = [["padding", [30, 20]]]
    got, expected = (infer(model, images, (30, 20), config, trans_info).numpy() for model in (coarse, fine))
    assert got.shape == expected.shape == (1, 3, 30, 20)
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.5


def test_an_unknown_change_of_size_is_refused(net):
    with pytest.raises(UserError, match=r"trans_info has 'rotate'.*'resize' and 'padding'"):
        infer(net, paddle.ones([1, 3, 8, 8]), (8, 8), trans_info=[("rotate", (8, 8))])


def test_an_output_without_height_and_width_is_refused():
    class Flat(nn.Layer):
        def forward(self, x):
            return [x.mean(axis=[2, 3])]

    with pytest.raises(UserError, match=r"first output must be N x C x H x W, not \[2, 3\]"):
        infer(Flat(), paddle.ones([2, 3, 8, 8]), (8, 8))


def test_prediction_infers_as_evaluation_does(net):
    config, trans_info = slide(20, 16, 10, 10), [("padding", (41, 55))]
    picture = image(1, 45, 61, seed=4)
    expected = classes(infer(net, paddle.to_tensor(picture), (41, 55), config, trans_info)).numpy()[0]
    mask = predict(net, picture[0], (41, 55), config, trans_info)
    assert mask.dtype == np.uint8
    assert (mask == expected).all()
    assert (mask != predict(net, picture[0], (41, 55), trans_info=trans_info)).any()


def test_logits_have_no_gradient(net):
    assert infer(net, paddle.ones([1, 3, 8, 8]), (8, 8)).stop_gradient
    assert infer(net, paddle.ones([1, 3, 8, 8]), (8, 8), slide(4, 4, 4, 4)).stop_gradient


def test_a_model_that_is_frozen_in_part_stays_so():
    model = nn.Sequential(nn.Conv2D(3, 2, 1), nn.BatchNorm2D(2))
    model[1].eval()
    with eval_mode(model):
        assert not any(layer.training for layer in model.sublayers(include_self=True))
    assert model.training
    assert not model[1].training

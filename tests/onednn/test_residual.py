"""Frozen residual blocks as one computation, against Paddle's layers one by one."""

import numpy as np
import paddle
import pytest

from paddleseg import onednn
from paddleseg.models.backbones import resnet_vd
from paddleseg.onednn import library

pytestmark = pytest.mark.skipif(
    library.why_not() is not None, reason="Paddle's wheel brings no such oneDNN here"
)


@pytest.fixture(autouse=True)
def _onednn():
    """Let oneDNN compute in each test."""
    onednn.use_engine("onednn")
    yield
    onednn.use_engine("auto")


def blocks_of(kind, channels, width, dilation, count=3):
    """Return `count` frozen blocks with random statistics; the first one projects its input."""
    convs = resnet_vd.bottleneck_convs if kind == "bottleneck" else resnet_vd.basic_convs
    out = 4 * width if kind == "bottleneck" else width
    made = []
    for k in range(count):
        short = resnet_vd.ConvBNLayer(channels, out, 1, relu=False) if k == 0 else None
        made.append(resnet_vd.ResidualBlock(convs(channels if k == 0 else out, width, 1, dilation), short))
    model = paddle.nn.LayerList(made)
    rng = np.random.default_rng(0)
    for name, tensor in model.state_dict().items():
        low, high = (0.5, 1.5) if "variance" in name or "norm.weight" in name else (-0.2, 0.2)
        tensor.set_value(rng.uniform(low, high, tensor.shape).astype("float32"))
    for parameter in model.parameters():
        parameter.stop_gradient = True
    model.eval()
    onednn.freeze(model)
    return made


def one_by_one(blocks, x):
    """Return the output of Paddle's own operators."""
    onednn.use_engine("paddle")
    for block in blocks:
        x = block(x)
    onednn.use_engine("onednn")
    return x.numpy()


def fused(blocks, x):
    return onednn.fused_residuals([block.residual() for block in blocks], x)


def images(*shape):
    return paddle.to_tensor(np.random.default_rng(1).standard_normal(shape).astype("float32"))


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
@pytest.mark.parametrize(("channels", "width"), [(16, 32), (5, 7)])
@pytest.mark.parametrize("dilation", [1, 9])
def test_blocks_give_what_their_layers_give(kind, channels, width, dilation):
    blocks = blocks_of(kind, channels, width, dilation)
    for shape in [(2, channels, 8, 9), (1, channels, 6, 5)]:
        x = images(*shape)
        before = x.numpy()
        wanted = one_by_one(blocks, x)
        y = fused(blocks, x)
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
        # Without a projection, the sum begins with the caller's array, which must stay as it is.
        rest = fused(blocks[1:], y)
        np.testing.assert_allclose(
            rest, one_by_one(blocks[1:], y), rtol=1e-4, atol=1e-5 * np.abs(rest.numpy()).max()
        )
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(y, fused(blocks, x))


def test_an_image_gives_the_same_alone_and_in_a_batch():
    blocks, x = blocks_of("bottleneck", 16, 32, 1), images(3, 16, 8, 8)
    alone = paddle.concat([fused(blocks, x[k : k + 1]) for k in range(3)])
    np.testing.assert_allclose(fused(blocks, x), alone, rtol=1e-5, atol=1e-5)


def test_weights_that_change_are_folded_anew():
    blocks, x = blocks_of("basic", 8, 8, 1), images(1, 8, 5, 6)
    before = fused(blocks, x).numpy()
    blocks[1].conv0._conv.weight.set_value(blocks[1].conv0._conv.weight * 2)
    blocks[2].conv1._batch_norm._mean.set_value(blocks[2].conv1._batch_norm._mean + 1)
    after, wanted = fused(blocks, x).numpy(), one_by_one(blocks, x)
    np.testing.assert_allclose(after, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
    assert np.abs(after - before).max() > 1e-2


@pytest.mark.parametrize("obstacle", ["gradient", "training", "engine", "not frozen", "channels", "double"])
def test_other_blocks_are_left_to_their_layers(obstacle):
    blocks, x = blocks_of("basic", 8, 8, 1), images(1, 8, 5, 6)
    if obstacle == "gradient":
        x.stop_gradient = False
    if obstacle == "training":
        blocks[0].conv0._batch_norm.train()
    if obstacle == "engine":
        onednn.use_engine("paddle")
    if obstacle == "not frozen":
        blocks[1].conv0._conv = paddle.nn.Conv2D(8, 8, 3, padding=1)
    if obstacle == "channels":
        x = images(1, 7, 5, 6)
    if obstacle == "double":
        x = x.astype("float64")
    assert fused(blocks, x) is None


def backbone():
    """Return a frozen ResNet18_vd with random weights."""
    paddle.seed(0)
    model = resnet_vd.ResNet18_vd(output_stride=8)
    model.eval()
    for parameter in model.parameters():
        parameter.stop_gradient = True
    onednn.freeze(model)
    return model


def test_a_backbone_computes_its_blocks_together(monkeypatch):
    lengths, original = [], onednn.fused_residuals

    def counted(blocks, x):
        lengths.append(len(blocks))
        return original(blocks, x)

    monkeypatch.setattr(onednn, "fused_residuals", counted)
    backbone()(images(1, 3, 32, 32))
    assert lengths == [2, 1, 2, 2]  # the first block of the second stage pools


class Doubled(resnet_vd.ResidualBlock):
    """A block of a user's own."""

    def forward(self, x):
        return 2 * super().forward(x)


def _derive(block):
    block.__class__ = Doubled


def _wrap(block):
    forward = block.conv0.forward
    block.conv0.forward = lambda x: 2 * forward(x)


def _wrap_inside(block):
    forward = block.conv0._conv.forward
    block.conv0._conv.forward = lambda x: 2 * forward(x)


def _replace(block):
    block.conv0 = paddle.nn.Sequential(block.conv0)


def _leave_relu_out(block):
    block.conv0._relu = False


def _add_relu(block):
    block.conv1._relu = True


@pytest.mark.parametrize("change", [_derive, _wrap, _wrap_inside, _replace, _leave_relu_out, _add_relu])
def test_a_block_that_a_user_changed_computes_as_changed(change):
    model, x = backbone(), images(1, 3, 32, 32)
    change(model.bb_1_1)
    onednn.use_engine("paddle")
    wanted = model(x)
    onednn.use_engine("onednn")
    for one, other in zip(model(x), wanted):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other.numpy()).max())


def test_a_block_may_be_replaced_by_any_layer():
    model, x = backbone(), images(1, 3, 32, 32)
    before = model(x)
    model.bb_1_1 = paddle.nn.Sequential(model.bb_1_1)
    for one, other in zip(model(x), before):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other.numpy()).max())


@pytest.mark.parametrize(
    "place", ["bb_1_1", "bb_2_0.conv0", "bb_2_0.conv0._conv", "bb_3_1.conv1._batch_norm"]
)
@pytest.mark.parametrize("kind", ["pre", "post"])
def test_a_hook_in_a_backbone_sees_its_map(place, kind):
    model = backbone()
    x, seen = images(1, 3, 32, 32), []
    layers = dict(model.named_sublayers())
    onednn.use_engine("paddle")
    if kind == "pre":
        hook = layers[place].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numpy()))
    else:
        hook = layers[place].register_forward_post_hook(lambda *call: seen.append(call[2].numpy()))
    wanted = model(x)
    onednn.use_engine("onednn")
    found = model(x)
    hook.remove()
    assert len(seen) == 2
    for one, other in zip([*seen[1:], *found], [*seen[:1], *wanted]):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(np.asarray(other)).max())

"""`NonLocal2D` equals the formulas of the paper in NumPy."""

import numpy as np
import paddle
import pytest
from numpy_layers import batch_norm, conv1x1, conv_bn_relu, relu, softmax
from random_weights import randomized

from paddleseg.models.layers import NonLocal2D
from paddleseg.models.layers.nonlocal2d import MODES

X = np.random.default_rng(4).normal(size=[2, 6, 4, 6]).astype("float32")


def pool(x):
    """Return the maximum over 2 x 2 of N x C x 4 x 6, flattened to N x C x 6."""
    return x.reshape(*x.shape[:2], 2, 2, 3, 2).max(axis=(3, 5)).reshape(*x.shape[:2], -1)


def flat(x):
    return x.reshape(*x.shape[:2], -1)


def part(layer, x, sub_sample):
    """Return a projection of x, N x C x positions."""
    return pool(conv1x1(layer[0], x)) if sub_sample else flat(conv1x1(layer, x))


def weights(block, theta, phi):
    """Return the weights, N x queries x keys."""
    if block.mode == "concatenation":
        pairs = np.concatenate(
            [
                np.broadcast_to(theta[..., None], (*theta.shape, phi.shape[2])),
                np.broadcast_to(phi[:, :, None], (*theta.shape, phi.shape[2])),
            ],
            axis=1,
        )
        project = block.concat_project
        return relu(batch_norm(project._batch_norm, conv1x1(project._conv, pairs)))[:, 0] / phi.shape[2]
    similarity = np.einsum("ncq,nck->nqk", theta, phi)
    if block.mode == "dot_product":
        return similarity / phi.shape[2]
    return softmax(similarity / (3**0.5 if block.mode == "embedded_gaussian" and block.use_scale else 1))


@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_the_four_similarities(mode, sub_sample):
    block = randomized(NonLocal2D(6, mode=mode, sub_sample=sub_sample))
    if mode == "gaussian":
        theta, phi = flat(X), pool(X) if sub_sample else flat(X)
    else:
        theta, phi = flat(conv1x1(block.theta, X)), part(block.phi, X, sub_sample)
    y = np.einsum("nqk,nck->ncq", weights(block, theta, phi), part(block.g, X, sub_sample))
    expected = X + conv_bn_relu(block.conv_out, y.reshape(2, 3, 4, 6))
    np.testing.assert_allclose(block(paddle.to_tensor(X)).numpy(), expected, atol=2e-5)


def test_the_scale_is_optional():
    scaled, plain = (randomized(NonLocal2D(6, use_scale=scale)) for scale in (True, False))
    theta, phi = paddle.rand([1, 4, 3]), paddle.rand([1, 3, 4])
    expected = softmax(paddle.matmul(theta, phi).numpy())
    np.testing.assert_allclose(plain.embedded_gaussian(theta, phi).numpy(), expected, atol=1e-6)
    assert np.abs(scaled.embedded_gaussian(theta, phi).numpy() - expected).max() > 1e-3


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode must be one of gaussian, embedded_gaussian"):
        NonLocal2D(6, mode="cosine")

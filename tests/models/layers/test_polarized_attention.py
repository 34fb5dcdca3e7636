"""Polarized self-attention equals its formula in NumPy."""

import numpy as np
import paddle
from numpy_layers import conv1x1, sigmoid, softmax
from random_weights import randomized

from paddleseg.models.layers import PolarizedSelfAttentionModule


def test_the_sum_of_both_branches():
    x = np.random.default_rng(6).normal(size=[2, 8, 3, 5]).astype("float32")
    layer = randomized(PolarizedSelfAttentionModule(8, 8))
    flat = x.reshape(2, 8, 15)
    value, query = conv1x1(layer.conv_v_right, flat), conv1x1(layer.conv_q_right, flat)
    context = np.einsum("ncp,nqp->ncq", value, softmax(query))
    by_channel = flat * sigmoid(conv1x1(layer.conv_up, context))
    mean = conv1x1(layer.conv_q_left, flat).mean(axis=2)
    likeness = softmax(np.einsum("nc,ncp->np", mean, conv1x1(layer.conv_v_left, flat)))
    by_pixel = flat * sigmoid(likeness)[:, None]
    result = layer(paddle.to_tensor(x)).numpy()
    np.testing.assert_allclose(result, (by_channel + by_pixel).reshape(x.shape), atol=1e-5)

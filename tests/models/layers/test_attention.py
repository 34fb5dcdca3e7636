"""`AttentionBlock` equals attention in NumPy."""

import numpy as np
import paddle
import paddle.nn as nn
import pytest
from numpy_layers import conv1x1, conv_bn_relu, softmax
from random_weights import randomized

from paddleseg.models.layers import AttentionBlock

RNG = np.random.default_rng(2)
QUERIES, KEYS = (RNG.normal(size=[2, c, h, w]).astype("float32") for c, h, w in ((6, 4, 3), (5, 3, 2)))
OPTIONS = {
    "key_in_channels": 5,
    "query_in_channels": 6,
    "channels": 4,
    "out_channels": 7,
    "share_key_query": False,
    "query_downsample": None,
    "key_downsample": None,
    "key_query_num_convs": 1,
    "value_out_num_convs": 1,
    "key_query_norm": False,
    "value_out_norm": False,
    "matmul_norm": True,
    "with_out": False,
}


def attention(query, key, value, scale):
    """Return N x C x queries of N x D x queries, N x D x keys and N x C x keys."""
    return np.einsum("nqk,nck->ncq", softmax(np.einsum("ndq,ndk->nqk", query, key) * scale), value)


@pytest.mark.parametrize("matmul_norm", [True, False])
def test_attention_between_two_maps(matmul_norm):
    block = randomized(AttentionBlock(**{**OPTIONS, "matmul_norm": matmul_norm}))
    result = block(paddle.to_tensor(QUERIES), paddle.to_tensor(KEYS)).numpy()
    queries, keys = QUERIES.reshape(2, 6, 12), KEYS.reshape(2, 5, 6)
    expected = attention(
        conv1x1(block.query_project, queries),
        conv1x1(block.key_project, keys),
        conv1x1(block.value_project, keys),
        0.5 if matmul_norm else 1,
    )
    np.testing.assert_allclose(result, expected.reshape(2, 7, 4, 3), atol=1e-5)


def test_attention_of_pooled_keys_with_norms_and_an_output_projection():
    options = {"key_query_num_convs": 2, "key_query_norm": True, "value_out_norm": True, "with_out": True}
    pooling = {"key_downsample": nn.AvgPool2D(2)}
    block = randomized(AttentionBlock(**{**OPTIONS, **options, **pooling}))
    keys = np.random.default_rng(3).normal(size=[2, 5, 4, 4]).astype("float32")
    result = block(paddle.to_tensor(QUERIES), paddle.to_tensor(keys)).numpy()

    def pooled(x):
        return x.reshape(2, 4, 2, 2, 2, 2).mean(axis=(3, 5)).reshape(2, 4, 4)

    query = conv_bn_relu(block.query_project[1], conv_bn_relu(block.query_project[0], QUERIES))
    key = conv_bn_relu(block.key_project[1], conv_bn_relu(block.key_project[0], keys))
    value = conv_bn_relu(block.value_project, keys)
    context = attention(query.reshape(2, 4, 12), pooled(key), pooled(value), 0.5)
    expected = conv_bn_relu(block.out_project, context.reshape(2, 4, 4, 3))
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_keys_and_queries_may_share_their_projection():
    block = AttentionBlock(**{**OPTIONS, "query_in_channels": 5, "share_key_query": True})
    assert block.query_project is block.key_project
    with pytest.raises(ValueError, match="equal channels, not 5 and 6"):
        AttentionBlock(**{**OPTIONS, "share_key_query": True})

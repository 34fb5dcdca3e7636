"""Adaptive average pooling as matrix products, against means written out in NumPy."""

import numpy as np
import paddle
import pytest

from paddleseg.models.layers.adaptive_pool import AdaptiveMeans, means

SIZES = [(7, 5), (4, 12), (1, 3), (33, 65)]


def written_out(x, regions):
    """Return the means of the regions of N x C x H x W in float64."""
    height, width = x.shape[2:]
    edges = [
        [(i * n // regions, -(-(i + 1) * n // regions)) for i in range(regions)] for n in (height, width)
    ]
    return np.array(
        [[x[:, :, a:b, c:d].mean((2, 3), dtype="float64") for c, d in edges[1]] for a, b in edges[0]]
    ).transpose(2, 3, 0, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("regions", [1, 2, 3, 6])
def test_products_are_the_means_of_the_regions(size, regions):
    x = np.random.default_rng(0).standard_normal((2, 3, *size)).astype("float32")
    rows, columns = (means(n, regions).numpy().astype("float64") for n in size)
    np.testing.assert_allclose(rows @ x @ columns.T, written_out(x, regions), rtol=1e-6, atol=1e-6)
    pooled = AdaptiveMeans(regions)(paddle.to_tensor(x)).numpy()
    np.testing.assert_allclose(pooled, written_out(x, regions), rtol=1e-5, atol=1e-6)


def test_a_static_graph_of_free_sizes_computes_them():
    spec = [paddle.static.InputSpec([None, 3, None, None], "float32", name="x")]
    traced = paddle.jit.to_static(AdaptiveMeans(4), input_spec=spec, full_graph=True)
    for size in SIZES:
        x = np.random.default_rng(1).standard_normal((2, 3, *size)).astype("float32")
        np.testing.assert_allclose(
            traced(paddle.to_tensor(x)).numpy(), written_out(x, 4), rtol=1e-5, atol=1e-6
        )

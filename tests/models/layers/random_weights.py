"""Layers with random weights and statistics, in evaluation mode."""

import paddle


def randomized(layer, seed=5):
    """Return `layer` in evaluation mode, with random values for all that it has; variances are positive."""
    paddle.seed(seed)
    for key, value in layer.state_dict().items():
        random = paddle.randn(value.shape) * 0.5
        value.set_value(random.abs() + 0.5 if key.endswith("_variance") else random)
    layer.eval()
    return layer

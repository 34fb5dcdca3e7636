"""Untrained values are read, averaged and replaced."""

import numpy as np
import paddle
import tiny

from paddleseg.parallel.statistics import averaged_over_ranks, holding, untrained


def test_running_statistics_frozen_weights_and_buffers_are_untrained():
    model = tiny.TinyNet()
    model.heads[0].bias.stop_gradient = True
    model.register_buffer("queue", paddle.zeros([2]))
    model(paddle.randn([1, 3, 4, 4]))  # sets a tensor on the model that is not part of its state
    assert set(untrained(model)) == {"body.1._mean", "body.1._variance", "heads.0.bias", "queue"}


def test_one_process_averages_nothing():
    tensors = {"a": paddle.ones([1])}
    assert averaged_over_ranks(tensors) is tensors


def test_other_values_are_held_only_within_the_context():
    model = tiny.TinyNet()
    own = model.state_dict()["body.1._mean"].numpy()
    with holding(model, {"body.1._mean": paddle.full([4], 7.0)}):
        np.testing.assert_array_equal(model.state_dict()["body.1._mean"].numpy(), np.full(4, 7.0))
    np.testing.assert_array_equal(model.state_dict()["body.1._mean"].numpy(), own)

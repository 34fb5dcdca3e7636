"""Batch norm by device."""

import paddle
import paddle.nn as nn

from paddleseg import parallel


def test_a_cpu_gets_plain_batch_norm_with_the_same_weights():
    net = nn.Sequential(nn.Conv2D(3, 4, 1), nn.SyncBatchNorm(4), nn.BatchNorm2D(4))
    before = net.state_dict()
    assert parallel.with_batch_norm_of_the_device(net) is net
    assert [type(layer) for layer in net] == [nn.Conv2D, nn.BatchNorm2D, nn.BatchNorm2D]
    assert all(before[key] is value for key, value in net.state_dict().items())
    assert net(paddle.rand([2, 3, 4, 4])).shape == [2, 4, 4, 4]

"""A warning of batch norms that get a single value per channel."""

import paddle
import pytest
from paddle import nn
from running import config, train

from paddleseg.cvlibs import manager
from paddleseg.models.base import SegmentationModel
from paddleseg.training.norms import warn_of_single_values


def pooled(size):
    return nn.Sequential(nn.BatchNorm2D(3), nn.AdaptiveAvgPool2D(size), nn.Conv2D(3, 4, 1), nn.BatchNorm2D(4))


@pytest.mark.parametrize(("size", "batch", "warned"), [(1, 1, True), (1, 2, False), (2, 1, False)])
def test_a_single_value_is_warned_of_once(lines, size, batch, warned):
    model = pooled(size)
    warn_of_single_values(model)
    for _ in range(2):
        model(paddle.rand([batch, 3, 8, 8]))
    found = [line for line in lines if "the batch norm '3' gets a single value per channel" in line]
    assert len(found) == warned


def test_an_evaluation_may_have_single_values(lines):
    model = pooled(1)
    model.eval()
    warn_of_single_values(model)
    model(paddle.rand([1, 3, 8, 8]))
    assert lines == []


class PoolingNet(SegmentationModel):
    """A classifier of each pixel, and one of the whole image whose answer is added."""

    def __init__(self, num_classes: int = 2):
        super().__init__(None, False)
        self.pixels = nn.Conv2D(3, num_classes, 1)
        self.image = nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.BatchNorm2D(3), nn.Conv2D(3, num_classes, 1))

    def head_logits(self, x):
        return [self.pixels(x) + self.image(x)]


@pytest.mark.parametrize(("batch_size", "warned"), [(1, True), (2, False)])
def test_a_training_warns_of_it(tmp_path, root, lines, monkeypatch, batch_size, warned):
    monkeypatch.setitem(manager.MODELS._components, "PoolingNet", PoolingNet)
    dic = config(root, batch_size=batch_size, iters=2, model={"type": "PoolingNet"})
    train(tmp_path, dic, no_eval=True)
    assert any("the batch norm 'image.1' gets a single value" in line for line in lines) == warned

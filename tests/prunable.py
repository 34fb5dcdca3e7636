"""A network with what makes pruning hard: a residual sum and a depthwise convolution."""

import paddle
import paddle.nn as nn
import tiny

from paddleseg.cvlibs import manager

WIDTH, HIDDEN = 8, 16
MODEL = {"type": "PrunableNet", "num_classes": 2}
# The filters without effect, if `dead`.
DEAD, DEAD_HIDDEN = [1, 4], [0, 5, 9, 12]


def conv_bn(in_channels, out_channels, size, groups=1):
    conv = nn.Conv2D(in_channels, out_channels, size, padding=size // 2, groups=groups, bias_attr=False)
    return [conv, nn.BatchNorm2D(out_channels)]


@manager.MODELS.add_component
class PrunableNet(nn.Layer):
    """A stem, an inverted residual block, and a classifier; with `joined`, it also gets the stem's output."""

    def __init__(self, num_classes: int = 2, joined: bool = False):
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(3, WIDTH, 3), nn.ReLU())
        self.expand = nn.Sequential(*conv_bn(WIDTH, HIDDEN, 1), nn.ReLU())
        self.depthwise = nn.Sequential(*conv_bn(HIDDEN, HIDDEN, 3, groups=HIDDEN), nn.ReLU())
        self.project = nn.Sequential(*conv_bn(HIDDEN, WIDTH, 1))
        self.joined = joined
        self.classify = nn.Conv2D(WIDTH * (1 + joined), num_classes, 1)

    def forward(self, x):
        x = self.stem(x)
        y = x + self.project(self.depthwise(self.expand(x)))
        return [self.classify(paddle.concat([x, y], axis=1) if self.joined else y)]

    def kill(self):
        """Make the `DEAD` filters of each layer compute 0, and give the others random statistics."""
        for part in (self.stem, self.expand, self.depthwise, self.project):
            conv, norm = part[0], part[1]
            alive = paddle.ones([conv.weight.shape[0]])
            alive[DEAD_HIDDEN if len(alive) == HIDDEN else DEAD] = 0.0
            conv.weight.set_value((conv.weight + 1.0) * alive.reshape([-1, 1, 1, 1]))
            for param in (norm.weight, norm.bias, norm._mean):
                param.set_value(paddle.randn(param.shape) * alive)


def write_config(folder, **changes):
    """Write a data set, a config of the network and weights; return the paths of config and weights."""
    dic = tiny.config(tiny.write_optic_disc(folder / "data"), model=MODEL, imports=["tiny", "prunable"])
    paddle.seed(5)
    model = PrunableNet()
    model.kill()
    weights = tiny.save_weights(folder / "whole.pdparams", model)
    return tiny.write_yaml(folder / "student.yml", {**dic, **changes}), weights

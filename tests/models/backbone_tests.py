"""The tests that every backbone must pass.

The test of a new backbone is a class that derives from `BackboneTests`, as in `test_stdcnet.py`.
"""

import re

import paddle
import pytest
import tiny
from refusal import refusal

from paddleseg.cvlibs import manager


class BackboneTests:
    """What holds for every backbone.

    Attributes:
        smallest: the class of the smallest one.
        maps: {name: (channels, strides) of its feature maps}, of every one.
        classifier: keys of the published ImageNet weights of `smallest` beyond the backbone's.
        other: a class that the weights of `smallest` do not fit.
        misfit: pattern of the keys in the message.
        refused: [(parameters, message)], a sample of what the constructor refuses.
    """

    smallest = None
    maps = {}
    classifier = ()
    other = None
    misfit = None
    refused = ()

    def check_maps(self, backbone, channels, strides, size):
        backbone.eval()
        assert tuple(backbone.feat_channels) == channels
        with paddle.no_grad():
            maps = backbone(paddle.zeros([1, 3, *size]))
        # Every stride rounds up.
        assert [x.shape for x in maps] == [
            [1, c, *(-(-side // stride) for side in size)] for c, stride in zip(channels, strides)
        ]

    @pytest.mark.parametrize("size", [(64, 96), (33, 47)])
    def test_maps(self, size):
        for name, (channels, strides) in self.maps.items():
            backbone = manager.BACKBONES[name]
            assert backbone.__name__ == name
            self.check_maps(backbone(), channels, strides, size)

    def test_images_of_one_channel(self):
        assert self.smallest(in_channels=1)(paddle.zeros([2, 1, 32, 32]))[0].shape[0] == 2

    def test_pretrained_weights_without_their_classifier(self, tmp_path):
        source = self.smallest().state_dict()
        path = str(tmp_path / "weights.pdparams")
        paddle.save({**source, **{key: paddle.ones([2]) for key in self.classifier}}, path)
        loaded = self.smallest(pretrained=path).state_dict()
        assert all((loaded[key].numpy() == value.numpy()).all() for key, value in source.items())

    def test_refuses_unexpected_weights(self, tmp_path, capsys):
        path = str(tmp_path / "weights.pdparams")
        paddle.save({**self.smallest().state_dict(), "neck.weight": paddle.ones([2])}, path)
        message = refusal(capsys, lambda: self.smallest(pretrained=path))
        name = self.smallest.__name__
        assert message == f"the weights in {path} are not those of {name}: unexpected keys: neck.weight"

    def test_refuses_weights_of_another_backbone(self, tmp_path, capsys):
        path = tiny.save_weights(tmp_path / "weights.pdparams", self.smallest())
        message = refusal(capsys, lambda: self.other(pretrained=path))
        assert message.startswith(f"the weights in {path} are not those of {self.other.__name__}: ")
        assert re.search(self.misfit, message)

    def test_refuses_what_is_out_of_range(self, capsys):
        for options, expected in [
            *self.refused,
            ({"pretrained": "no/such"}, "no file of weights at no/such"),
        ]:
            assert refusal(capsys, lambda options=options: self.smallest(**options)) == expected

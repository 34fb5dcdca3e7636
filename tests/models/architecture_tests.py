"""The tests that every architecture must pass.

The test of a new architecture is a class that derives from `ArchitectureTests`, as in `test_fcn.py`.
"""

import inspect
import json
import pathlib

import numpy as np
import paddle
import paddle.nn as nn
import pytest
import tiny
from refusal import refusal

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.paddleseg_keys import OF_COMPONENTS
from paddleseg.exporting.exporter import ExportedModel
from paddleseg.graphs import save_graph

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
SIGNATURES = json.loads((GOLDEN / "signatures.json").read_text())["models"]


class Trunk(nn.Layer):
    """A backbone of five maps, at strides 2 to 32, as a user might write one."""

    feat_channels = (4, 4, 6, 8, 8)

    def __init__(self):
        super().__init__()
        before = (3, *self.feat_channels[:-1])
        self.convs = nn.LayerList(
            [nn.Conv2D(one, two, 3, stride=2, padding=1) for one, two in zip(before, self.feat_channels)]
        )

    def forward(self, x):
        maps = []
        for conv in self.convs:
            x = nn.functional.leaky_relu(conv(x))
            maps.append(x)
        return maps


def same_but_for_rounding(actual, expected):
    """Whether two arrays of the same shape differ by less than 3e-5 of the largest absolute value.

    MKL's code paths, AVX2 and the one for processors it does not know, are up to 2e-5 apart after 50 layers.
    """
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max() < 3e-5 * np.abs(expected).max()


def without_gradient(model):
    """Return the keys of the trained parameters that a step in training gives no gradient."""
    paddle.seed(3)
    sum(logits.square().sum() for logits in model(paddle.randn([4, 3, 64, 96]))).backward()
    trained = {key: p for key, p in model.named_parameters() if not p.stop_gradient}
    # Biases ahead of a batch norm have one, of zero.
    return [
        key
        for key, p in trained.items()
        if p.grad is None or (p.ndim == 4 and not np.abs(p.grad.numpy()).sum() > 0)
    ]


def check_export(model, folder):
    """Save a model as a static graph, and compare the main logits for images of two sizes."""
    model.eval()
    save_graph(ExportedModel(model, "none"), str(folder), [-1, 3, -1, -1])
    loaded = paddle.jit.load(str(folder / "model"))
    for size in ((64, 64), (65, 97)):
        x = paddle.randn([2, 3, *size])
        assert same_but_for_rounding(loaded(x).numpy(), model(x)[0].numpy())


class ArchitectureTests:
    """What holds for every architecture.

    Attributes:
        architecture: the class.
        backbone: the class of its backbone.
        options: the parameters that make it small on the backbone.
        outputs: the number of logits in training and in evaluation.
        stages: what it says of a wrong `backbone_indices`: "one", "two", "at least two", ...
        refused: [(parameters, message)], a sample of what the constructor refuses. `wrong_indices` are
            `backbone_indices` that it refuses with the message of `stages`.
    """

    architecture = None
    backbone = Trunk
    options = {}
    outputs = (1, 1)
    stages = None
    wrong_indices = ()
    refused = ()

    def build(self, num_classes=3, **changes):
        paddle.seed(5)
        return self.architecture(num_classes, self.backbone(), **{**self.options, **changes})

    def test_parameters_and_defaults_are_paddlesegs(self):
        def plain(default):
            return list(default) if isinstance(default, tuple) else default

        name = self.architecture.__name__
        assert manager.MODELS[name] is self.architecture
        ours = {
            key: "required" if p.default is p.empty else plain(p.default)
            for key, p in inspect.signature(self.architecture).parameters.items()
        }
        theirs = {key: value for key, value in SIGNATURES[name].items() if key not in OF_COMPONENTS}
        assert list(ours.items()) == list(theirs.items())

    @pytest.mark.parametrize("size", [(64, 64), (65, 97), (33, 47)])
    def test_logits_have_the_images_size_and_stay_on_the_model(self, size):
        model = self.build()
        for mode, count in zip((model.train, model.eval), self.outputs):
            mode()
            logits = model(paddle.zeros([2, 3, *size]))
            assert isinstance(logits, list)
            assert [list(x.shape) for x in logits] == [[2, 3, *size]] * count
            assert all(one is other for one, other in zip(model.logit_list, logits))
            assert len(model.logit_list) == count

    @pytest.mark.parametrize("size", [(64, 64), (65, 97)])
    def test_forward_is_the_heads_logits_upsampled(self, size):
        model = self.build()
        model.eval()
        x = paddle.randn([2, 3, *size])
        heads = model.head_logits(x)
        assert all(one is other for one, other in zip(model.head_logit_list, heads))
        assert all(one.shape[2] < size[0] for one in heads)
        parts = model.upsampled(heads, size)
        for logits, of_parts, head, of_forward in zip(model(x), parts, heads, model.head_logit_list):
            np.testing.assert_array_equal(logits.numpy(), of_parts.numpy())
            np.testing.assert_array_equal(head.numpy(), of_forward.numpy())

    def test_one_image_is_a_batch(self):
        assert all(np.isfinite(x.numpy()).all() for x in self.build()(paddle.randn([1, 3, 33, 47])))

    def test_a_gradient_reaches_every_trained_parameter(self):
        assert without_gradient(self.build()) == []

    def test_an_exported_graph_gives_the_main_logits_at_any_size(self, tmp_path):
        check_export(self.build(), tmp_path)

    def test_pretrained_is_the_whole_model(self, tmp_path):
        source = self.build()
        loaded = self.build(pretrained=tiny.save_weights(tmp_path / "model.pdparams", source))
        for key, value in source.state_dict().items():
            np.testing.assert_array_equal(loaded.state_dict()[key].numpy(), value.numpy())

    def test_refuses_weights_of_another_class_count(self, tmp_path, capsys):
        path = tiny.save_weights(tmp_path / "model.pdparams", self.build())
        message = refusal(capsys, lambda: self.build(num_classes=5, pretrained=path))
        start = f"the weights in {path} are not those of {self.architecture.__name__}: wrongly shaped keys: "
        assert message.startswith(start)
        assert "instead of [5, " in message

    def test_refuses_weights_that_are_not_there(self, capsys):
        message = refusal(capsys, lambda: self.build(pretrained="no/such.pdparams"))
        assert message == "no file of weights at no/such.pdparams"

    def test_refuses_a_layer_that_is_no_backbone(self, capsys):
        message = refusal(capsys, lambda: self.architecture(2, nn.Conv2D(3, 3, 1), **self.options))
        assert message.startswith("Conv2D is no backbone: it has no feat_channels")

    def test_refuses_indices_that_the_backbone_does_not_have(self, capsys):
        assert bool(self.wrong_indices) == ("backbone_indices" in SIGNATURES[self.architecture.__name__])
        for indices in self.wrong_indices:
            message = refusal(capsys, lambda indices=indices: self.build(backbone_indices=indices))
            assert message == (
                f"backbone_indices must be {self.stages} of the backbone's 5 stages, from 0 to 4, not "
                f"{list(indices)}"
            )

    def test_refuses_what_is_out_of_range(self, capsys):
        assert self.refused
        for options, expected in self.refused:
            message = refusal(capsys, lambda options=options: self.build(**options))
            assert message.startswith(expected)

"""Taps that an adaptor names; those of a config are in test_taps.py."""

import numpy as np
import paddle
import pytest
import tiny

from paddleseg.distill import AdaptorBase
from paddleseg.distill.taps import Taps
from paddleseg.errors import UserError

IMAGES = paddle.to_tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype("float32"))


def taps_of(model, layers=None, tensors=None):
    """Return the `Taps` of an adaptor that maps names to layers, and to attributes of the model."""

    class Adaptor(AdaptorBase):
        def mapping_layers(self):
            mapping = dict(layers or {})
            if self.add_tensor:
                mapping.update({name: getattr(self.model, a) for name, a in (tensors or {}).items()})
            return mapping

    return Taps(model, "student", Adaptor)


def test_a_layers_output_and_a_tensor_of_forward_are_read():
    model = tiny.TinyNet()
    taps = taps_of(model, {"hidden_0": "body.0"}, {"hidden_1": "mixed", "hidden_2": "logit_list"})
    model.eval()
    model(IMAGES)
    tensors = taps.read()
    np.testing.assert_array_equal(tensors["hidden_0"].numpy(), model.body[0](IMAGES).numpy())
    np.testing.assert_array_equal(tensors["hidden_1"].numpy(), (model.body(IMAGES) + IMAGES.mean()).numpy())
    assert tensors["hidden_2"].shape == [2, 2, 8, 8]  # a list of one counts as its item


def test_each_forward_pass_gives_its_own_tensors_with_their_gradient():
    model = tiny.TinyNet()
    taps = taps_of(model, {"hidden_0": "body.0"})
    model(IMAGES)
    first = taps.read()["hidden_0"]
    first.sum().backward()
    assert np.abs(model.body[0].weight.grad.numpy()).sum() > 0
    model(2 * IMAGES)
    assert np.abs((taps.read()["hidden_0"] - first).numpy()).max() > 0.01


@pytest.mark.parametrize(
    ("layers", "tensors", "message"),
    [
        (
            {"hidden_0": "boddy.0"},
            {},
            r"\(student\).*'hidden_0'.*no sublayer 'boddy.0'; did you mean 'body.0'",
        ),
        ({}, {"hidden_0": "mixd"}, r"\(student\).*leaves no 'mixd' on TinyNet; did you mean 'mixed'"),
        ({"hidden_0": "unused"}, {}, "does not run 'unused'"),
        ({}, {"hidden_0": "logit_list"}, "'hidden_0'.*: a list of 2 instead of one tensor"),
        ({"hidden_0": paddle.zeros([1])}, {}, "belongs inside `if self.add_tensor:`"),
    ],
)
def test_what_is_not_there_is_refused_with_its_name(layers, tensors, message):
    def read(model):
        taps = taps_of(model, layers, tensors)
        model(IMAGES)
        return taps.read()

    with pytest.raises(UserError, match=message):
        read(tiny.TinyNet(outputs=2))


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (lambda self: ["body.0"], "returned list instead of a dict"),
        (lambda self: {"hidden_0": self.body}, "'Wrong' object has no attribute 'body'"),
        (AdaptorBase.mapping_layers, r"Wrong \(student\).*must define mapping_layers"),
    ],
)
def test_a_wrong_mapping_is_refused(mapping, message):
    wrong = type("Wrong", (AdaptorBase,), {"mapping_layers": mapping})
    with pytest.raises(UserError, match=message):
        Taps(tiny.TinyNet(), "student", wrong)


class OutsideTheBlock(AdaptorBase):
    """Names a tensor where only sublayers may be named."""

    def mapping_layers(self):
        return {"hidden_0": self.model.mixed}


class NameInTheBlock(AdaptorBase):
    """Names a tensor by its name."""

    def mapping_layers(self):
        return {"hidden_0": "mixed"} if self.add_tensor else {}


def test_a_tensor_named_outside_the_block_is_told_so():
    with pytest.raises(UserError) as caught:
        Taps(tiny.TinyNet(), "student", OutsideTheBlock)
    assert "TinyNet has no 'mixed' before a forward pass; if forward sets it, name it inside" in str(
        caught.value
    )
    assert "`if self.add_tensor:`, else there are " in str(caught.value)


def test_a_tensors_name_instead_of_the_tensor():
    model = tiny.TinyNet()
    taps = Taps(model, "student", NameInTheBlock)
    model(IMAGES)
    with pytest.raises(UserError, match="'mixed' is a name and no tensor; write self.model.mixed"):
        taps.read()

import numpy as np
import paddle
import pytest
import tiny

from paddleseg.distill import AdaptorBase
from paddleseg.distill.taps import Taps
from paddleseg.errors import UserError


def adaptor(layers=None, tensors=None):
    """Return an adaptor class that maps names to layers, and to attributes of the model."""

    class Adaptor(AdaptorBase):
        def mapping_layers(self):
            mapping = dict(layers or {})
            if self.add_tensor:
                mapping.update({name: getattr(self.model, a) for name, a in (tensors or {}).items()})
            return mapping

    return Adaptor


@pytest.fixture
def model():
    paddle.seed(0)
    return tiny.TinyNet()


IMAGES = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype("float32")


def test_a_layers_output_and_a_tensor_of_forward_are_read(model):
    taps = Taps(model, "student", adaptor({"hidden_0": "body.0"}, {"hidden_1": "mixed"}))
    model.eval()
    x = paddle.to_tensor(IMAGES)
    model(x)
    read = taps.read()
    expected = model.body[0](x)
    np.testing.assert_array_equal(read["hidden_0"].numpy(), expected.numpy())
    mixed = (model.body(x) + x.mean()).numpy()
    np.testing.assert_array_equal(read["hidden_1"].numpy(), mixed)


def test_a_tap_carries_the_gradient(model):
    taps = Taps(model, "student", adaptor({"hidden_0": "body.0"}))
    model(paddle.to_tensor(IMAGES))
    taps.read()["hidden_0"].sum().backward()
    assert np.abs(model.body[0].weight.grad.numpy()).sum() > 0


def test_each_forward_gives_its_own_tensors(model):
    taps = Taps(model, "student", adaptor({"hidden_0": "body.0"}))
    model(paddle.to_tensor(IMAGES))
    first = taps.read()["hidden_0"].numpy()
    model(paddle.to_tensor(2 * IMAGES))
    assert np.abs(taps.read()["hidden_0"].numpy() - first).max() > 0.01


def test_a_list_of_one_counts_as_its_item(model):
    taps = Taps(model, "student", adaptor(tensors={"hidden_0": "logit_list"}))
    model(paddle.to_tensor(IMAGES))
    assert taps.read()["hidden_0"].shape == [2, 2, 8, 8]


def test_an_unknown_layer_is_refused_with_the_nearest_names(model):
    with pytest.raises(UserError, match=r"student.*'hidden_0'.*no sublayer 'boddy.0'; did you mean 'body.0'"):
        Taps(model, "student", adaptor({"hidden_0": "boddy.0"}))


def test_an_unknown_attribute_is_refused_with_the_nearest_names(model):
    taps = Taps(model, "teacher", adaptor(tensors={"hidden_0": "mixd"}))
    model(paddle.to_tensor(IMAGES))
    with pytest.raises(UserError, match=r"teacher.*leaves no 'mixd' on TinyNet; did you mean 'mixed'"):
        taps.read()


def test_a_layer_that_forward_does_not_run_is_refused(model):
    taps = Taps(model, "student", adaptor({"hidden_0": "unused"}))
    model(paddle.to_tensor(IMAGES))
    with pytest.raises(UserError, match="does not run 'unused'"):
        taps.read()


def test_a_list_of_several_is_refused():
    model = tiny.TinyNet(outputs=2)
    taps = Taps(model, "student", adaptor(tensors={"hidden_0": "logit_list"}))
    model(paddle.to_tensor(IMAGES))
    with pytest.raises(UserError, match="a list of 2 instead of one tensor"):
        taps.read()


def test_a_tensor_outside_add_tensor_is_refused(model):
    with pytest.raises(UserError, match="belongs inside `if self.add_tensor:`"):
        Taps(model, "student", adaptor({"hidden_0": paddle.zeros([1])}))


def test_a_mapping_that_is_no_dict_is_refused(model):
    class Wrong(AdaptorBase):
        def mapping_layers(self):
            return ["body.0"]

    with pytest.raises(UserError, match="returned list instead of a dict"):
        Taps(model, "student", Wrong)


def test_an_error_in_the_adaptor_that_is_not_the_models_is_told_as_it_is(model):
    class Wrong(AdaptorBase):
        def mapping_layers(self):
            return {"hidden_0": self.body}

    with pytest.raises(UserError, match="'Wrong' object has no attribute 'body'"):
        Taps(model, "student", Wrong)


def test_mapping_layers_must_be_defined(model):
    with pytest.raises(UserError, match=r"AdaptorBase \(student\).*must define mapping_layers"):
        Taps(model, "student", AdaptorBase)

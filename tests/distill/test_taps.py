"""Taps as a config declares them; those of adaptors are in test_adaptor.py."""

import numpy as np
import paddle
import pytest
import tiny

from paddleseg.distill import AdaptorBase
from paddleseg.distill.taps import Tap, Taps
from paddleseg.errors import UserError

IMAGES = paddle.to_tensor(np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype("float32"))


def read(model, *declared, adaptor_class=None):
    """Run a model once and return the tensors of its taps."""
    model.eval()
    taps = Taps(model, "student", adaptor_class, [(tap, f"c.yml:{i}") for i, tap in enumerate(declared)])
    model(IMAGES)
    return taps.read()


def test_outputs_inputs_and_attributes():
    model = tiny.TinyNet(outputs=2)
    taps = [
        Tap("output_of", "body.0"),
        Tap("input_of", "body.1"),
        Tap("attr", "mixed"),
        Tap("attr", "logit_list", 1),
        Tap("attr", "logit_list", -1),
        Tap("output_of", "heads.1"),
    ]
    tensors = read(model, *taps)
    assert list(tensors) == taps
    output, following_input, mixed, second, last, head = (tensors[tap].numpy() for tap in taps)
    np.testing.assert_array_equal(output, following_input)
    np.testing.assert_allclose(mixed, (model.body(IMAGES) + IMAGES.mean()).numpy(), rtol=1e-6)
    np.testing.assert_array_equal(second, head)
    np.testing.assert_array_equal(last, head)


def test_an_attribute_of_a_sublayer():
    class Outer(paddle.nn.Layer):
        def __init__(self):
            super().__init__()
            self.inner = tiny.TinyNet()

        def forward(self, x):
            return self.inner(x)

    model = Outer()
    (value,) = read(model, Tap("attr", "inner.mixed")).values()
    expected = model.inner.body(IMAGES) + IMAGES.mean()
    np.testing.assert_allclose(value.numpy(), expected.numpy(), rtol=1e-6)


def test_of_a_layer_that_runs_twice_the_last_call_counts():
    class Twice(tiny.TinyNet):
        def forward(self, x):
            super().forward(x)
            return super().forward(2 * x)

    model = Twice()
    (value,) = read(model, Tap("output_of", "body.0")).values()
    np.testing.assert_array_equal(value.numpy(), model.body[0](2 * IMAGES).numpy())


def test_tensors_of_an_earlier_pass_are_dropped():
    model, tap = tiny.TinyNet(), Tap("output_of", "body.0")
    taps = Taps(model, "student", None, [(tap, "c.yml")])
    model(IMAGES)
    taps.clear()
    with pytest.raises(UserError, match="does not run 'body.0'"):
        taps.read()


def test_adaptor_and_config_side_by_side():
    class Body(AdaptorBase):
        def mapping_layers(self):
            mapping = {"body.0": "body.1"}  # a name that is another layer's
            if self.add_tensor:
                mapping["hidden_1"] = self.model.mixed
            return mapping

    model, tap = tiny.TinyNet(), Tap("output_of", "body.0")
    tensors = read(model, tap, adaptor_class=Body)
    assert set(tensors) == {"body.0", "hidden_1", tap}
    np.testing.assert_array_equal(tensors["body.0"].numpy(), model.body[1](tensors[tap]).numpy())


@pytest.mark.parametrize(
    ("tap", "message"),
    [
        (Tap("output_of", "boddy.0"), "TinyNet has no sublayer 'boddy.0'; did you mean 'body.0'"),
        (Tap("input_of", "boddy.0"), "TinyNet has no sublayer 'boddy.0'; did you mean 'body.0'"),
        (Tap("attr", "mixd"), "forward leaves no 'mixd' on TinyNet; did you mean 'mixed'"),
        (Tap("attr", "body.mixed"), "forward leaves no 'mixed' on Sequential"),
        (Tap("attr", "logit_list"), "a list of 2 instead of one tensor; name one of its items"),
        (Tap("attr", "logit_list", 2), "a list of 2 has no index 2"),
        (Tap("attr", "mixed", 0), "Tensor instead of a list, so it has no index 0"),
        (Tap("output_of", "unused"), "the model's forward does not run 'unused'"),
        (Tap("attr", "training"), "bool instead of one tensor"),
    ],
)
def test_what_is_not_there_is_refused_with_its_place(tap, message):
    with pytest.raises(UserError) as raised:
        read(tiny.TinyNet(outputs=2), tap)
    assert str(raised.value).startswith(f"c.yml:0: {message}")


def test_a_tap_is_written_as_in_a_config():
    assert str(Tap("output_of", "a.b")) == "a.b"
    assert str(Tap("output_of", "a.b", 1)) == "{output_of: a.b, index: 1}"
    assert str(Tap("input_of", "a.b")) == "{input_of: a.b}"
    assert [Tap(kind, "a", i).label for kind, i in (("attr", 0), ("input_of", None))] == ["a_0", "a_input"]


def test_a_layer_named_after_the_forward_pass_is_refused():
    class Late(AdaptorBase):
        def mapping_layers(self):
            return {"hidden_0": "body.0"} if self.add_tensor else {}

    with pytest.raises(UserError, match="'body.0' must be named outside `if self.add_tensor:`"):
        read(tiny.TinyNet(), adaptor_class=Late)

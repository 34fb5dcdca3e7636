"""Which taps of a model are listed, and how."""

import paddle
import tiny

from paddleseg.distill.list_taps import find_taps, table
from paddleseg.distill.taps import Tap


def test_everything_that_can_be_tapped_is_found_and_nothing_else():
    model = tiny.TinyNet(outputs=2)
    assert dict(find_taps(model, paddle.zeros([1, 3, 8, 8]))) == {
        Tap("input_of", "body"): [1, 3, 8, 8],
        Tap("input_of", "body.0"): [1, 3, 8, 8],
        Tap("output_of", "body.0"): [1, 4, 8, 8],
        Tap("input_of", "body.1"): [1, 4, 8, 8],
        Tap("output_of", "body.1"): [1, 4, 8, 8],
        Tap("input_of", "body.2"): [1, 4, 8, 8],
        Tap("output_of", "body.2"): [1, 4, 8, 8],
        Tap("output_of", "body"): [1, 4, 8, 8],
        Tap("input_of", "dropout"): [1, 4, 8, 8],
        Tap("output_of", "dropout"): [1, 4, 8, 8],
        Tap("input_of", "heads.0"): [1, 4, 8, 8],
        Tap("output_of", "heads.0"): [1, 2, 8, 8],
        Tap("input_of", "heads.1"): [1, 4, 8, 8],
        Tap("output_of", "heads.1"): [1, 2, 8, 8],
        Tap("attr", "mixed"): [1, 4, 8, 8],
        Tap("attr", "logit_list", 0): [1, 2, 8, 8],
        Tap("attr", "logit_list", 1): [1, 2, 8, 8],
    }
    assert not model.body._forward_post_hooks


def test_equal_shapes_have_equal_letters():
    student = [(Tap("output_of", "a"), [1, 4, 8, 8]), (Tap("output_of", "b"), [1, 6, 8, 8])]
    student += [(Tap("input_of", "c"), [1, 3, 8, 8]), (Tap("output_of", "c"), [1, 2, 8, 8])]
    first = [(Tap("attr", "x"), [1, 2, 8, 8]), (Tap("attr", "y", 0), [1, 5, 8, 8])]
    second = [(Tap("output_of", "z"), [1, 4, 8, 8])]
    text = table([("student:", student), ("teacher 0:", first), ("teacher 1:", second)])
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[lines.index("student:") :] == [
        "student:",
        "A [1, 4, 8, 8] a",
        "[1, 6, 8, 8] b",
        "[1, 3, 8, 8] B [1, 2, 8, 8] c",
        "",
        "teacher 0:",
        "B [1, 2, 8, 8] {attr: x}",
        "[1, 5, 8, 8] {attr: y, index: 0}",
        "",
        "teacher 1:",
        "A [1, 4, 8, 8] z",
    ]


def test_a_student_is_listed_in_training_mode():
    class Auxiliary(tiny.TinyNet):
        def forward(self, x):
            outputs = super().forward(x)
            return outputs if self.training else outputs[:1]

    class Head(paddle.nn.Layer):
        def __init__(self):
            super().__init__()
            self.net, self.extra = Auxiliary(outputs=2), paddle.nn.ReLU()

        def forward(self, x):
            return [self.extra(y) for y in self.net(x)[1:]]

    for training in (False, True):
        taps = dict(find_taps(Head(), paddle.zeros([1, 3, 8, 8]), training))
        assert (Tap("output_of", "extra") in taps) == training


def test_a_class_token_is_in_the_tap_where_the_model_states_the_grid():
    model, images = tiny.TinyTransformer(class_token=True), paddle.zeros([1, 3, 16, 24])
    taps = find_taps(model, images)
    assert (Tap("output_of", "block", skip=1), [1, 6, 4, 6]) in taps
    rows = [" ".join(line.split()) for line in table([("student:", taps)], (16, 24)).splitlines()]
    assert "[1, 25, 6] [1, 6, 4, 6] {output_of: block, skip: 1}" in rows
    assert not [row for row in rows if "input_of: block" in row and "layer}" not in row]

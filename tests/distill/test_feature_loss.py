"""The losses of features: PaddleSlim's, the project's and users', their connectors and labels."""

import distilling  # noqa: F401  registers MemoryLoss and MaskedGap
import numpy as np
import paddle
import pytest

from paddleseg.cvlibs import manager
from paddleseg.distill.feature_loss import FeatureLoss, check_batch_size, fit_label, make_names_unique
from paddleseg.distill.features import Feature, Schedule
from paddleseg.distill.taps import Tap
from paddleseg.errors import UserError
from paddleseg.losses import SegChannelwiseLoss

RNG = np.random.default_rng(5)
SHAPE = [3, 4, 5, 6]
S, T = (RNG.standard_normal(SHAPE).astype("float32") for _ in range(2))


def feature(loss="L2Loss", connector="auto", name="s", **more):
    """Return a `Feature` as a config declares it; `loss` may be a name or a section."""
    return Feature(
        student=Tap("output_of", name),
        teacher=Tap("output_of", "t"),
        loss={"type": loss} if isinstance(loss, str) else loss,
        place=lambda *keys: ".".join(("c.yml:3: distill", *keys)),
        connector=connector,
        **more,
    )


def build(loss="L2Loss", connector="auto", shapes=(SHAPE, SHAPE), num_classes=None, ignore_index=255, **more):
    """Return the `FeatureLoss` of a `feature`."""
    return FeatureLoss(feature(loss, connector, **more), *shapes, num_classes, ignore_index)


def value(name, **arguments):
    """Return the loss of that name on `S` and `T`, as a float."""
    return float(build({"type": name, **arguments})(paddle.to_tensor(S), paddle.to_tensor(T)))


def tensors(*shapes):
    return [paddle.to_tensor(RNG.standard_normal(shape).astype("float32")) for shape in shapes]


def test_the_projects_own_losses_come_first():
    assert isinstance(build({"type": "SegChannelwiseLoss", "temperature": 2.0}).loss, SegChannelwiseLoss)
    assert type(build("KLLoss").loss).__module__.startswith("paddleseg.")


def test_paddleslims_distances_work_by_name():
    difference = S.astype("float64") - T
    assert value("L1Loss") == pytest.approx(np.abs(difference).mean(), rel=1e-5)
    assert value("L1Loss", reduction="sum") == pytest.approx(np.abs(difference).sum(), rel=1e-5)
    assert value("MSELoss") == value("L2Loss") == pytest.approx((difference**2).mean(), rel=1e-5)
    huber = np.where(np.abs(difference) < 1, 0.5 * difference**2, np.abs(difference) - 0.5)
    assert value("SmoothL1Loss") == pytest.approx(huber.mean(), rel=1e-5)


def test_rkd_equals_its_formula():
    # Park et al. 2019: Huber of pairwise distances over their mean, and of the angles of triplets.
    def distances(x):
        d = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))
        return d / d.mean()

    def angles(x):
        d = x[None] - x[:, None]
        unit = d / np.maximum(np.linalg.norm(d, axis=2, keepdims=True), 1e-12)
        return unit @ unit.transpose(0, 2, 1)

    def huber(a, b):
        d = np.abs(a - b)
        return np.where(d < 1, 0.5 * d**2, d - 0.5).mean()

    s, t = (x.reshape(3, -1).astype("float64") for x in (S, T))
    expected = huber(distances(s), distances(t)) + huber(angles(s), angles(t))
    # PaddleSlim takes distances by |a|^2 + |b|^2 - 2ab in float32, whose last digits hang on MKL's code path.
    assert value("RKDLoss") == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("DMLLoss", {}, "logarithms of raw features, which is NaN"),
        ("DMLLoss", {"axis": 1}, "logarithms of raw features, which is NaN"),
        ("CELoss", {}, "softmax over the width"),
        ("CrossEntropyLoss", {}, "compares logits with the label, not two features"),
        ("SegChanelwiseLoss", {}, "did you mean 'SegChannelwiseLoss'"),
        ("SegChannelwiseLoss", {"temperatur": 1.0}, "takes no 'temperatur'; did you mean 'temperature'"),
        ("L1Loss", {"reduction": 3}, "refuses {'reduction': 3}"),
        ("MemoryLoss", {}, "distill.loss: MemoryLoss needs 'num_classes', and nothing gives it"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(name, arguments, message):
    with pytest.raises(UserError, match=message):
        build({"type": name, **arguments})


def test_dml_works_with_an_activation():
    assert np.isfinite(value("DMLLoss", act="softmax", axis=1))
    assert np.isfinite(value("DMLLoss", act="sigmoid"))


def test_weight_and_schedule_multiply_the_loss():
    student, teacher = paddle.to_tensor(S), paddle.to_tensor(T)
    plain = float(build()(student, teacher))
    loss = build(weight=3, schedule=Schedule(start_iter=1, warmup_iters=2, end_iter=3))
    assert float(loss(student, teacher)) == pytest.approx(3 * plain, rel=1e-6)
    values = [float(loss(student, teacher, None, i)) for i in (1, 2, 3, 4)]
    assert values == pytest.approx([0, 1.5 * plain, 3 * plain, 0], rel=1e-6)


def test_the_teacher_gets_no_gradient():
    student, teacher = paddle.to_tensor(S), paddle.to_tensor(T)
    student.stop_gradient = teacher.stop_gradient = False
    build()(student, teacher).backward()
    assert teacher.grad is None
    np.testing.assert_allclose(student.grad.numpy(), 2 * (S - T) / S.size, rtol=1e-5)


def test_losses_of_one_name_get_an_index():
    losses = [build(name=name) for name in ("a", "a", "b")]
    make_names_unique(losses)
    assert [loss.name for loss in losses] == ["a_L2Loss_0", "a_L2Loss_1", "b_L2Loss"]


def test_auto_puts_a_connector_where_channels_differ_alone():
    assert build().connector is None
    assert build(shapes=([2, 5], [2, 5])).connector is None
    connector = build(shapes=([2, 4, 5, 6], [2, 7, 5, 6])).connector
    assert type(connector).__name__ == "ConvBNConnector"
    assert connector.conv.weight.shape == [7, 4, 1, 1]


def test_a_named_connector_is_used_even_for_equal_channels():
    loss = build(connector={"type": "MLPConnector", "hidden_channels": 3})
    assert loss.connector.first.weight.shape == [3, 4, 1, 1]
    student, teacher = tensors(SHAPE, SHAPE)
    expected = float(((loss.connector(student) - teacher) ** 2).mean())
    assert float(loss(student, teacher)) == pytest.approx(expected, rel=1e-6)
    loss(student, teacher).backward()
    assert all(np.abs(p.grad.numpy()).sum() > 0 for p in loss.parameters())


@manager.CONNECTORS.add_component
class OneChannel(paddle.nn.Layer):
    """Gives one channel, however many the teacher has."""

    def __init__(self, student_channels: int, teacher_channels: int):
        super().__init__()

    def forward(self, x):
        return x[:, :1]


def test_the_output_of_a_connector_is_not_broadcast():
    loss = build(connector={"type": "OneChannel"})
    message = (
        r"c.yml:3: distill.connector: s_L2Loss: OneChannel gives \[3, 1, 5, 6\] where the teacher's t is "
        r"\[3, 4, 5, 6\]"
    )
    with pytest.raises(UserError, match=message):
        loss(*tensors(SHAPE, SHAPE))


@pytest.mark.parametrize(
    ("connector", "shapes", "message"),
    [
        ("auto", ([2, 4], [2, 7]), r"connector: a connector takes N x C x H x W, .*'s s has shape \[2, 4\]"),
        ("auto", ([2, 4, 5, 6], [2, 7]), r"and the teacher's t has shape \[2, 7\]"),
        ("auto", ([], [2, 4]), "c.yml:3: distill: s_L2Loss: .*; a feature is N x C, or N x C x"),
        ("auto", ([2, 4], [2]), "c.yml:3: distill: s_L2Loss: .*; a feature is N x C, or N x C x"),
        ("none", ([2, 1, 5, 6], [2, 7, 5, 6]), "distill.loss: s_L2Loss: the student's s has shape .* auto"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(connector, shapes, message):
    with pytest.raises(UserError, match=message):
        build(connector=connector, shapes=shapes)


def test_relations_between_samples_need_no_equal_shapes():
    shapes = [3, 1, 5, 6], [3, 7, 5, 6]
    assert np.isfinite(float(build("RKDLoss", "none", shapes)(*tensors(*shapes))))


@pytest.mark.parametrize(
    ("ours", "theirs"), [((6, 7), (3, 4)), ((3, 4), (6, 7)), ((6, 4), (3, 8)), ((3, 4), (3, 5))]
)
def test_maps_are_resized_to_the_smaller_of_the_two(ours, theirs, lines):
    shapes = [[2, 4, *ours], [2, 4, *theirs]]
    student, teacher = tensors(*shapes)
    size = [min(pair) for pair in zip(ours, theirs)]
    loss = build(shapes=shapes)
    values = [float(loss(student, teacher)) for _ in range(2)]
    small = [paddle.nn.functional.interpolate(x, size, mode="bilinear").numpy() for x in (student, teacher)]
    assert values[0] == values[1] == pytest.approx(((small[0] - small[1]) ** 2).mean(), rel=1e-5)
    assert lines == [
        f"s_L2Loss: the student's {ours[0]} x {ours[1]} and the teacher's {theirs[0]} x {theirs[1]} are "
        f"resized bilinearly to {size[0]} x {size[1]}"
    ]


def test_a_loss_gets_what_its_constructor_takes():
    shapes = [2, 4, 5, 6], [2, 7, 5, 6]
    loss = {"type": "MemoryLoss", "scale": 2.0}
    with_connector = build(loss, "auto", shapes, num_classes=3, ignore_index=9)
    assert with_connector.loss.arguments == (7, 7, 3, 9)
    assert build(loss, "none", shapes, num_classes=3, ignore_index=9).loss.arguments == (4, 7, 3, 9)
    assert build({**loss, "num_classes": 5}, num_classes=3).loss.arguments == (4, 4, 5, 255)


def test_a_label_comes_at_the_size_of_the_feature():
    loss = build("MaskedGap")
    label = RNG.integers(0, 3, (3, 10, 12))
    loss(*tensors(SHAPE, SHAPE), paddle.to_tensor(label))
    np.testing.assert_array_equal(loss.loss.label.numpy(), label[:, ::2, ::2])


def test_labels_of_other_axes():
    maps, rows = tensors([2, 4, 5, 6], [2, 7])
    assert fit_label(None, maps) is None
    assert fit_label(paddle.zeros([2], "int64"), maps) is None
    assert fit_label(paddle.zeros([2, 8, 8], "int64"), rows) is None
    assert fit_label(paddle.zeros([2], "int64"), rows) is None
    assert fit_label(paddle.zeros([2, 9], "int64"), paddle.zeros([2, 3, 9])).shape == [2, 9]
    with pytest.raises(UserError, match="it needs labels N x H x W, and none reach it"):
        build("MemoryLoss", num_classes=2)(*tensors(SHAPE, SHAPE), paddle.zeros([3], "int64"))


def test_a_loss_that_needs_labels_sees_the_labelled_part_alone():
    loss = build("MemoryLoss", num_classes=2)
    student, teacher = tensors(SHAPE, SHAPE)
    label = paddle.to_tensor(RNG.integers(0, 2, (2, 5, 6)))
    with_rest = float(loss(student, teacher, label))
    assert with_rest == pytest.approx(float(loss(student[:2], teacher[:2], label)), rel=1e-6)
    assert float(loss.loss.seen) == 4


@pytest.mark.parametrize("ignored", [255, 0])
def test_a_loss_that_may_mask_sees_all_of_the_images_without_a_label(ignored):
    loss = build({"type": "MaskedGap", "ignore_index": ignored})
    student, teacher = tensors(SHAPE, SHAPE)
    label = RNG.integers(0, 2, (2, 5, 6))
    label[0, :3] = ignored
    kept = np.concatenate([label != ignored, np.ones((1, 5, 6), bool)])
    gap = ((student.numpy() - teacher.numpy()) ** 2).mean(1)
    assert float(loss(student, teacher, paddle.to_tensor(label))) == pytest.approx(gap[kept].mean(), rel=1e-5)


def test_half_precision_features_are_compared_in_full():
    student, teacher = (x.astype("float16") * 200 for x in tensors(SHAPE, SHAPE))
    value = build("MSELoss")(student, teacher)
    gap = student.numpy().astype("float64") - teacher.numpy().astype("float64")
    assert value.dtype == paddle.float32
    assert float(value) == pytest.approx((gap**2).mean(), rel=1e-5)  # beyond float16's 65504


def test_relations_between_too_few_samples_are_refused():
    check_batch_size([feature("RKDLoss")], 3)
    with pytest.raises(UserError, match="c.yml:3: .*is 0 for fewer than three; batch_size is 2"):
        check_batch_size([feature("RKDLoss")], 2)

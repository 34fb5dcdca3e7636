import distilling  # noqa: F401  registers MemoryLoss and MaskedGap
import numpy as np
import paddle
import pytest
import tiny

from paddleseg.cvlibs import manager
from paddleseg.distill.distill_file import as_feature
from paddleseg.distill.feature_loss import FeatureLoss, check_batch_size, fit_label, unique_names
from paddleseg.distill.features import Feature, Schedule
from paddleseg.distill.taps import Tap
from paddleseg.errors import UserError
from paddleseg.losses import SegChannelwiseLoss

RNG = np.random.default_rng(5)
S, T = (RNG.standard_normal((3, 4, 5, 6)).astype("float32") for _ in range(2))


def build(name="SegChannelwiseLoss", index=0, weight=1.0, **arguments):
    """Return the `FeatureLoss` that an entry of `prepare_distill_config()` makes for the two arrays."""
    item = tiny.feature(index, name, weight, **arguments)
    return FeatureLoss(as_feature(item, "d.py", 0), S.shape, T.shape)


def value(name, **arguments):
    """Return the loss of that name on the two arrays, as a float."""
    return float(build(name, **arguments)(paddle.to_tensor(S), paddle.to_tensor(T)))


def test_the_projects_own_losses_come_first():
    assert isinstance(build("SegChannelwiseLoss", temperature=2.0).loss, SegChannelwiseLoss)
    assert type(build("KLLoss").loss).__module__.startswith("paddleseg.")


def test_paddleslims_distances_work_by_name():
    difference = S.astype("float64") - T
    assert value("L1Loss") == pytest.approx(np.abs(difference).mean(), rel=1e-5)
    assert value("MSELoss") == value("L2Loss") == pytest.approx((difference**2).mean(), rel=1e-5)
    huber = np.where(np.abs(difference) < 1, 0.5 * difference**2, np.abs(difference) - 0.5)
    assert value("SmoothL1Loss") == pytest.approx(huber.mean(), rel=1e-5)


def test_arguments_reach_paddleslims_losses():
    total = np.abs(S.astype("float64") - T).sum()
    assert value("L1Loss", reduction="sum") == pytest.approx(total, rel=1e-5)


def test_rkd_equals_its_formula():
    # Park et al. 2019: Huber of pairwise distances over their mean, and of the angles of triplets.
    def rows(x):
        return x.reshape(3, -1).astype("float64")

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

    s, t = rows(S), rows(T)
    expected = huber(distances(s), distances(t)) + huber(angles(s), angles(t))
    # PaddleSlim takes distances by |a|^2 + |b|^2 - 2ab in float32, whose last digits hang on MKL's code path.
    assert value("RKDLoss") == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("DMLLoss", {}, "logarithms of raw features, which is NaN"),
        ("DMLLoss", {"axis": 1}, "logarithms of raw features, which is NaN"),
        ("CELoss", {}, "softmax over the width"),
        ("CrossEntropyLoss", {}, "compares logits with the label, not two features"),
        ("SegChanelwiseLoss", {}, "did you mean 'SegChannelwiseLoss'"),
        ("SegChannelwiseLoss", {"temperatur": 1.0}, "takes no 'temperatur'; did you mean 'temperature'"),
        ("L1Loss", {"reduction": 3}, "refuses {'reduction': 3}"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(name, arguments, told):
    with pytest.raises(UserError, match=told):
        build(name, **arguments)


def test_dml_works_where_it_is_told_to_normalise():
    assert np.isfinite(value("DMLLoss", act="softmax", axis=1))
    assert np.isfinite(value("DMLLoss", act="sigmoid"))


def test_a_users_own_loss_is_reached_by_name():
    @manager.LOSSES.add_component
    class MeanGap(paddle.nn.Layer):
        def forward(self, student, teacher):
            return (student - teacher).mean()

    assert value("MeanGap") == pytest.approx(float((S.astype("float64") - T).mean()), abs=1e-6)


def test_the_weight_multiplies_and_further_keys_reach_the_loss():
    tensors = paddle.to_tensor(S), paddle.to_tensor(T)
    plain, triple = build(temperature=2.0), build(temperature=2.0, weight=3)
    assert float(triple(*tensors)) == pytest.approx(3 * float(plain(*tensors)), rel=1e-6)
    assert plain.loss.temperature == 2.0
    assert plain.name == "hidden_0_SegChannelwiseLoss"


def test_the_teacher_gets_no_gradient():
    student, teacher = paddle.to_tensor(S), paddle.to_tensor(T)
    student.stop_gradient = teacher.stop_gradient = False
    build("L2Loss")(student, teacher).backward()
    assert teacher.grad is None
    np.testing.assert_allclose(student.grad.numpy(), 2 * (S - T) / S.size, rtol=1e-5)


def test_losses_of_one_name_are_told_apart():
    losses = unique_names([build(index=i) for i in (0, 0, 1)])
    names = [loss.name for loss in losses]
    assert names == [
        "hidden_0_SegChannelwiseLoss_0",
        "hidden_0_SegChannelwiseLoss_1",
        "hidden_1_SegChannelwiseLoss",
    ]


def declared(loss="L2Loss", connector="auto", shapes=(S.shape, T.shape), schedule=None, **filled):
    """Return the `FeatureLoss` of an entry of a config's `distill.features`."""
    feature = Feature(
        student=Tap("output_of", "s"),
        teacher=Tap("output_of", "t"),
        loss={"type": loss} if isinstance(loss, str) else loss,
        place=lambda *keys: ".".join(("c.yml:3: distill", *keys)),
        connector=connector,
        schedule=schedule or Schedule(),
    )
    return FeatureLoss(feature, *shapes, **filled)


def tensors(*shapes):
    return [paddle.to_tensor(RNG.standard_normal(shape).astype("float32")) for shape in shapes]


def test_auto_puts_a_connector_where_channels_differ_alone():
    assert declared().connector is None
    assert declared(shapes=([2, 5], [2, 5])).connector is None
    connector = declared(shapes=([2, 4, 5, 6], [2, 7, 5, 6])).connector
    assert type(connector).__name__ == "ConvBNConnector"
    assert connector.conv.weight.shape == [7, 4, 1, 1]


def test_a_connector_that_is_named_is_there_even_for_equal_channels():
    loss = declared(connector={"type": "MLPConnector", "hidden_channels": 3})
    assert loss.connector.first.weight.shape == [3, 4, 1, 1]
    student, teacher = tensors(S.shape, T.shape)
    expected = float(((loss.connector(student) - teacher) ** 2).mean())
    assert float(loss(student, teacher)) == pytest.approx(expected, rel=1e-6)
    loss(student, teacher).backward()
    assert all(np.abs(p.grad.numpy()).sum() > 0 for p in loss.parameters())


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        (
            ([2, 4], [2, 7]),
            r"connector: a connector takes N x C x H x W, and the student's s has shape \[2, 4\]",
        ),
        (([2, 4, 5, 6], [2, 7]), r"and the teacher's t has shape \[2, 7\]"),
    ],
)
def test_a_connector_needs_maps(shapes, told):
    with pytest.raises(UserError, match=told):
        declared(shapes=shapes)


@manager.CONNECTORS.add_component
class OneChannel(paddle.nn.Layer):
    """Gives one channel, whatever the teacher has."""

    def __init__(self, student_channels: int, teacher_channels: int):
        super().__init__()

    def forward(self, x):
        return x[:, :1]


def test_what_a_connector_gives_is_not_broadcast():
    loss = declared(connector={"type": "OneChannel"})
    told = (
        r"c.yml:3: distill.connector: s_L2Loss: OneChannel gives \[3, 1, 5, 6\] where the teacher's t is "
        r"\[3, 4, 5, 6\]"
    )
    with pytest.raises(UserError, match=told):
        loss(*tensors(S.shape, T.shape))


@pytest.mark.parametrize("shapes", [([], [2, 4]), ([2, 4], [2])])
def test_a_feature_has_samples_and_channels(shapes):
    with pytest.raises(UserError, match=r"c.yml:3: distill: s_L2Loss: .*; a feature is N x C, or N x C x"):
        declared(shapes=shapes)


def test_paddleslims_losses_do_not_broadcast():
    with pytest.raises(
        UserError, match=r"c.yml:3: distill.loss: s_L2Loss: the student's s has shape .* auto"
    ):
        declared(connector="none", shapes=([2, 1, 5, 6], [2, 7, 5, 6]))
    # Relations between samples are comparable whatever the features are.
    loss = declared("RKDLoss", "none", ([3, 1, 5, 6], [3, 7, 5, 6]))
    assert np.isfinite(float(loss(*tensors([3, 1, 5, 6], [3, 7, 5, 6]))))


@pytest.mark.parametrize(
    ("ours", "theirs"), [((6, 7), (3, 4)), ((3, 4), (6, 7)), ((6, 4), (3, 8)), ((3, 4), (3, 5))]
)
def test_maps_are_resized_to_the_smaller_of_the_two(ours, theirs, caplog):
    shapes = [[2, 4, *ours], [2, 4, *theirs]]
    student, teacher = tensors(*shapes)
    size = [min(pair) for pair in zip(ours, theirs)]
    with caplog.at_level("INFO", logger="paddleseg"):
        loss = declared(shapes=shapes)
        values = [float(loss(student, teacher)) for _ in range(2)]
    small = [paddle.nn.functional.interpolate(x, size, mode="bilinear").numpy() for x in (student, teacher)]
    assert values[0] == values[1] == pytest.approx(((small[0] - small[1]) ** 2).mean(), rel=1e-5)
    told = [record.message for record in caplog.records if "are resized" in record.message]
    assert told == [
        f"s_L2Loss: the student's {ours[0]} x {ours[1]} and the teacher's {theirs[0]} x {theirs[1]} are "
        f"resized bilinearly to {size[0]} x {size[1]}"
    ]


def test_the_schedule_multiplies_the_weight_and_lets_the_loss_rest():
    loss = declared(schedule=Schedule(start_iter=1, warmup_iters=2, end_iter=3))
    student, teacher = tensors(S.shape, T.shape)
    whole = float(loss(student, teacher))
    values = [float(loss(student, teacher, None, i)) for i in (1, 2, 3, 4)]
    assert values == pytest.approx([0, whole / 2, whole, 0], rel=1e-6)


def test_a_loss_is_told_what_its_constructor_takes():
    shapes = [2, 4, 5, 6], [2, 7, 5, 6]
    loss = {"type": "MemoryLoss", "scale": 2.0}
    with_connector = declared(loss, "auto", shapes, num_classes=3, ignore_index=9)
    assert with_connector.loss.arguments == (7, 7, 3, 9)
    assert declared(loss, "none", shapes, num_classes=3, ignore_index=9).loss.arguments == (4, 7, 3, 9)
    assert declared({**loss, "num_classes": 5}, num_classes=3).loss.arguments == (4, 4, 5, 255)
    with pytest.raises(UserError, match="distill.loss: MemoryLoss needs 'num_classes', and nothing gives it"):
        declared(loss)


def test_a_label_comes_at_the_size_of_the_feature():
    loss = declared("MaskedGap")
    label = RNG.integers(0, 3, (3, 10, 12))
    loss(*tensors(S.shape, T.shape), paddle.to_tensor(label))
    np.testing.assert_array_equal(loss.loss.label.numpy(), label[:, ::2, ::2])


def test_labels_of_other_axes():
    maps, rows = tensors([2, 4, 5, 6], [2, 7])
    assert fit_label(None, maps) is None
    assert fit_label(paddle.zeros([2], "int64"), maps) is None
    assert fit_label(paddle.zeros([2, 8, 8], "int64"), rows) is None
    assert fit_label(paddle.zeros([2], "int64"), rows) is None
    assert fit_label(paddle.zeros([2, 9], "int64"), paddle.zeros([2, 3, 9])).shape == [2, 9]
    with pytest.raises(UserError, match="it needs labels N x H x W, and none reach it"):
        declared("MemoryLoss", num_classes=2)(*tensors(S.shape, T.shape), paddle.zeros([3], "int64"))


def test_a_loss_that_needs_labels_sees_the_labelled_part_alone():
    loss = declared("MemoryLoss", num_classes=2)
    student, teacher = tensors(S.shape, T.shape)
    label = paddle.to_tensor(RNG.integers(0, 2, (2, 5, 6)))
    with_rest = float(loss(student, teacher, label))
    assert with_rest == pytest.approx(float(loss(student[:2], teacher[:2], label)), rel=1e-6)
    assert float(loss.loss.seen) == 4


@pytest.mark.parametrize("ignored", [255, 0])
def test_a_loss_that_may_mask_sees_all_of_the_images_without_a_label(ignored):
    loss = declared({"type": "MaskedGap", "ignore_index": ignored})
    student, teacher = tensors(S.shape, T.shape)
    label = RNG.integers(0, 2, (2, 5, 6))
    label[0, :3] = ignored
    kept = np.concatenate([label != ignored, np.ones((1, 5, 6), bool)])
    gap = ((student.numpy() - teacher.numpy()) ** 2).mean(1)
    assert float(loss(student, teacher, paddle.to_tensor(label))) == pytest.approx(gap[kept].mean(), rel=1e-5)


def test_half_precision_features_are_compared_in_full():
    student, teacher = (x.astype("float16") * 200 for x in tensors(S.shape, T.shape))
    value = declared("MSELoss")(student, teacher)
    gap = student.numpy().astype("float64") - teacher.numpy().astype("float64")
    assert value.dtype == paddle.float32
    assert float(value) == pytest.approx((gap**2).mean(), rel=1e-5)  # beyond float16's 65504


def test_too_few_samples_for_relations_between_them():
    features = [as_feature(tiny.feature(loss_function="RKDLoss"), "d.py", 0)]
    check_batch_size(features, 3)
    with pytest.raises(UserError, match="d.py: .*is 0 for fewer than three; batch_size is 2"):
        check_batch_size(features, 2)

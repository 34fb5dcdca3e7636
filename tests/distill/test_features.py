import numpy as np
import paddle
import pytest
import tiny

from paddleseg.cvlibs import manager
from paddleseg.distill.distill_file import as_feature
from paddleseg.distill.features import FeatureLoss, unique_names
from paddleseg.errors import UserError
from paddleseg.models.losses import SegChannelwiseLoss

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
    assert value("RKDLoss") == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("DMLLoss", {}, "logarithms of raw features, which is NaN"),
        ("DMLLoss", {"axis": 1}, "logarithms of raw features, which is NaN"),
        ("CELoss", {}, "softmax over the width"),
        ("CrossEntropyLoss", {}, "compares logits with labels"),
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

"""Distillation of layers that know nothing of this project, in a loop of one's own."""

import json
import os

import numpy as np
import paddle
import paddle.nn as nn
import pytest

from paddleseg.datasets.sampling import EpochBatches
from paddleseg.distill import Distiller, Feature, Schedule, Tap
from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss, KLLoss, SegChannelwiseLoss

CLASSES = 3
RNG = np.random.default_rng(7)
IMAGES = RNG.standard_normal((4, 3, 8, 10)).astype("float32")
LABELS = RNG.integers(0, CLASSES, (4, 8, 10))
LABELS[:, :2] = 255


class Net(nn.Layer):
    """A model as anybody might write it; with `outputs` it returns a list."""

    def __init__(self, width=4, outputs=None, classes=CLASSES):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2D(3, width, 3, padding=1), nn.BatchNorm2D(width), nn.ReLU())
        self.heads = nn.LayerList([nn.Conv2D(width, classes, 1) for _ in range(outputs or 1)])
        self.outputs = outputs

    def forward(self, x):
        y = self.body(x)
        logits = [head(y) for head in self.heads]
        return logits[0] if self.outputs is None else logits


class Data(paddle.io.Dataset):
    """Pairs of an image and its labels."""

    num_classes = CLASSES

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        return IMAGES[index], LABELS[index]


def nets(width=4, **of_student):
    paddle.seed(2)
    return Net(width, **of_student), Net(4, outputs=1)


def distiller(width=4, **arguments):
    """Return the `Distiller` of the issue's example, with some arguments changed."""
    defaults = {
        "loss": nn.CrossEntropyLoss(axis=1),
        "logits": [("SegChannelwiseLoss", 3)],
        "features": [Feature("body", "body", "SegChannelwiseLoss", weight=1.0)],
    }
    return Distiller(*nets(width), **{**defaults, **arguments})


def sgd(layer, rate=0.1):
    return paddle.optimizer.SGD(rate, parameters=layer.parameters())


def batch(*indices):
    indices = list(indices or range(len(IMAGES)))
    return paddle.to_tensor(IMAGES[indices]), paddle.to_tensor(LABELS[indices])


def own_loop(distiller, iters=6):
    """Train in the order of `fit` with its defaults; return the losses of each iteration."""
    optimizer, trained = sgd(distiller), []
    for keys in EpochBatches(len(IMAGES), 2, iters, seed=0):
        losses = distiller(*batch(*(index for _, index in keys)))
        losses["loss"].backward()
        optimizer.step()
        optimizer.clear_grad()
        trained.append({name: float(value) for name, value in losses.items()})
    return trained


def fitted(distiller, folder, iters=6, **options):
    """Train by `fit`; return the losses that it has logged."""
    options = {"log_iters": 1, "log_style": "plain", "save_dir": str(folder), **options}
    distiller.fit(Data(), optimizer=sgd(distiller), iters=iters, **options)
    with open(os.path.join(folder, "history.jsonl"), encoding="utf-8") as file:
        return [line["losses"] for line in map(json.loads, file) if "losses" in line]


@pytest.mark.parametrize("width", [4, 5])
def test_a_loop_of_ones_own_and_fit_give_the_same_losses(tmp_path, width, lines):
    own, by_trainer = own_loop(distiller(width)), fitted(distiller(width), tmp_path / "run")
    assert len(own) == len(by_trainer) == 6
    for one, other in zip(own, by_trainer):
        assert list(one) == list(other)
        assert one == pytest.approx(other, abs=1e-6)
    assert own[-1]["loss"] < own[0]["loss"]


def test_the_losses_are_those_of_the_formulas():
    student, teacher = nets()
    losses = Distiller(
        student,
        teacher,
        loss=(nn.CrossEntropyLoss(axis=1), 0.5),
        logits=[("KLLoss", 3), (nn.MSELoss(), 2)],
        features=[Feature("body", "body", nn.L1Loss(), weight=10)],
    )(*batch())
    student.train()
    images, labels = batch()
    body, teacher_body = student.body(images), teacher.body(images)
    logits, teacher_logits = student(images), teacher(images)[0]
    expected = {
        "CrossEntropyLoss": 0.5 * CrossEntropyLoss()(logits, labels),
        "KLLoss": 3 * KLLoss()(logits, teacher_logits, labels),
        "MSELoss": 2 * ((logits - teacher_logits) ** 2).mean(),
        "body_L1Loss": 10 * (body - teacher_body).abs().mean(),
    }
    assert list(losses) == ["loss", *expected]
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(float(value), rel=1e-5), name
    assert float(losses["loss"]) == pytest.approx(sum(map(float, expected.values())), rel=1e-5)


def test_the_teacher_is_frozen_and_no_part_of_what_is_trained():
    student, teacher = nets(5)
    before = {key: value.numpy() for key, value in teacher.state_dict().items()}
    own = {key: value.numpy() for key, value in student.state_dict().items()}
    made = Distiller(
        student, teacher, nn.CrossEntropyLoss(axis=1), "KLLoss", [Feature("body", "body", "L2Loss")]
    )
    assert all((own[key] == value.numpy()).all() for key, value in student.state_dict().items())
    names = [name for name, _ in made.named_parameters()]
    assert len(names) == len(student.parameters()) + len(made.extra.parameters())
    assert not {id(p) for p in teacher.parameters()} & {id(p) for p in made.parameters()}
    assert {key.split(".")[0] for key in made.state_dict()} == {"student", "extra"}
    optimizer = sgd(made)
    teacher.body[1].train()  # even then, and even a part of it
    made(*batch())["loss"].backward()
    optimizer.step()
    assert not teacher.body[1].training
    assert all((before[key] == value.numpy()).all() for key, value in teacher.state_dict().items())
    assert all(parameter.stop_gradient for parameter in teacher.parameters())
    weight = made.extra[0].connector.conv.weight
    assert weight.grad is not None


def test_ignored_pixels_do_not_count_whatever_the_loss_ignores_itself():
    images, labels = batch()
    for loss in (nn.CrossEntropyLoss(axis=1), CrossEntropyLoss(), "CrossEntropyLoss"):
        value = float(distiller(loss=loss, logits=None, features=[])(images, labels)["CrossEntropyLoss"])
        logits = distiller().student(images)
        assert value == pytest.approx(float(CrossEntropyLoss()(logits, labels)), rel=1e-5)
    assert distiller(loss=nn.CrossEntropyLoss(axis=1, ignore_index=0)).ignore_index == 0


def test_a_loss_that_ignores_another_label_still_does():
    class Own(nn.Layer):
        ignore_index = 1

        def forward(self, logits, label):
            assert not (label == 255).any()
            return CrossEntropyLoss(ignore_index=1)(logits, label)

    images, labels = batch()
    value = distiller(loss=Own(), logits=None, features=[], ignore_index=255)(images, labels)["Own"]
    expected = CrossEntropyLoss(ignore_index=1)(
        distiller().student(images), paddle.where(labels == 255, paddle.ones_like(labels), labels)
    )
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("form", [lambda y: y.unsqueeze(1), lambda y: y.astype("uint8"), lambda y: y.numpy()])
def test_labels_may_have_an_axis_more_or_another_integer_type(form):
    images, labels = batch()
    expected, made = (float(distiller()(images, y)["loss"]) for y in (labels, form(labels)))
    assert made == expected


def test_images_without_labels_train_by_the_teacher_alone():
    images, labels = batch()
    assert list(distiller()(images)) == ["loss", "SegChannelwiseLoss", "body_SegChannelwiseLoss"]
    some = distiller()(images, labels[:2])
    alone = CrossEntropyLoss()(distiller().student(images)[:2], labels[:2])
    assert float(some["CrossEntropyLoss"]) == pytest.approx(float(alone), rel=1e-5)


def test_several_outputs_have_one_loss_each_with_a_weight_of_its_own():
    student, teacher = Net(outputs=2), Net(outputs=2)
    losses = Distiller(
        student, teacher, (nn.CrossEntropyLoss(axis=1), [1, 0.4]), {"types": [KLLoss()], "coef": [2, 1]}
    )
    names = ["loss", "CrossEntropyLoss", "CrossEntropyLoss_1", "KLLoss", "KLLoss_1"]
    assert list(losses(*batch())) == names
    # An auxiliary output that the teacher lacks is compared with the label alone.
    losses = Distiller(Net(outputs=2), Net(), nn.CrossEntropyLoss(axis=1), "KLLoss")
    assert list(losses(*batch())) == names[:4]


def test_several_teachers_each_have_their_features_and_one_mean():
    paddle.seed(5)
    student, first, second = Net(), Net(), Net(6)
    made = Distiller(
        student,
        [first, second],
        logits=nn.MSELoss(),
        features=[Feature("body", "body", "L2Loss"), Feature("body", "body", "L2Loss", teacher_index=1)],
    )
    losses = made(*batch())
    assert list(losses) == ["loss", "MSELoss", "body_L2Loss_0", "body_L2Loss_1"]
    images, _ = batch()
    mean = (first(images) + second(images)) / 2
    assert float(losses["MSELoss"]) == pytest.approx(float(((student(images) - mean) ** 2).mean()), rel=1e-4)
    assert made.teachers == [first, second]
    with pytest.raises(UserError, match="teacher 1 has no use: no logits are compared"):
        Distiller(student, [first, second], features=[Feature("body", "body", "L2Loss")])


def test_a_schedule_counts_the_calls_in_training_mode_or_the_iteration_that_it_is_given():
    late = Feature("body", "body", "L2Loss", schedule={"start_iter": 1, "end_iter": 2})
    made = distiller(features=[late])
    assert late.schedule == Schedule(start_iter=1, end_iter=2)
    assert [float(made(*batch())["body_L2Loss"]) > 0 for _ in range(3)] == [False, True, False]
    made.eval()
    made(*batch())
    assert made.iteration == 3
    assert float(made(*batch(), iteration=2)["body_L2Loss"]) > 0


@pytest.mark.parametrize(
    "connector", ["auto", {"type": "MLPConnector", "hidden_channels": 2}, nn.Conv2D(5, 4, 1)], ids=str
)
def test_a_connector_is_trained_with_the_student(connector):
    made = distiller(5, features=[Feature("body", "body", "L2Loss", connector=connector)])
    assert made.extra.parameters()
    before = [parameter.numpy() for parameter in made.extra.parameters()]
    own_loop(made, iters=1)
    assert any((a != b.numpy()).any() for a, b in zip(before, made.extra.parameters()))


def test_places_are_inputs_and_attributes_of_forward_too():
    class Marked(Net):
        def forward(self, x):
            self.middle = self.body(x)
            return self.heads[0](self.middle)

    features = [
        Feature({"attr": "middle"}, {"input_of": "heads.0"}, SegChannelwiseLoss()),
        Feature("body.0", "body.0", lambda student, teacher: (student - teacher).abs().mean()),
    ]
    losses = Distiller(Marked(), Marked(), features=features)(*batch())
    assert list(losses) == ["loss", "middle_SegChannelwiseLoss", "body.0_<lambda>"]


def test_a_feature_states_the_grid_of_tokens():
    class Tokens(Net):
        def forward(self, x):
            self.tokens = self.body(x).flatten(2).transpose([0, 2, 1])  # N x L x C
            return self.heads[0](self.body(x))

    def loss(student, **more):
        paddle.seed(2)
        feature = Feature(student, "body", "SegChannelwiseLoss", **more)
        made = Distiller(Tokens(), Tokens(), features=[feature], images=(3, 8, 10))
        return float(made(*batch())["loss"])

    as_map = loss("body")
    for grid in ("auto", (8, 10), [8, 10]):
        assert loss({"attr": "tokens"}, grid=grid) == as_map
        assert loss(Tap("attr", "tokens"), grid=grid) == as_map
    with pytest.raises(
        UserError, match="grid: it is for tokens N x L x C, and neither tensor has that shape"
    ):
        Distiller(Net(), Net(), features=[Feature("body", "body", "L2Loss", grid="auto")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": [Feature("bdy", "body", "L2Loss")]}, r"student: Net has no sublayer 'bdy'; .*'body'"),
        (
            {"features": [Feature("body", "hads.0", "L2Loss")]},
            r"teacher: Net has no sublayer 'hads.0'; .*'heads.0'",
        ),
        ({"features": [Feature({"attr": "x"}, "body", "L2Loss")]}, "forward leaves no 'x' on Net"),
        ({"features": [Feature("body", "heads.0", "L2Loss", connector="none")]}, r"shape \[2, 4, 64, 64\]"),
        ({"features": [Feature("body", "body", "L2Loss", teacher_index=1)]}, "last of 1 teacher is 0"),
        ({"features": ["body"]}, "features.0 must be a Feature"),
        ({"logits": [("SegChanelwiseLoss", 3)]}, "logits.0.type: unknown loss.*'SegChannelwiseLoss'"),
        ({"logits": [("CrossEntropyLoss", 3)]}, "logits.0: CrossEntropyLoss compares .* label; .* in loss"),
        ({"loss": "KLLoss"}, "loss: KLLoss compares the student with the teacher; it belongs in logits"),
        ({"logits": [("KLLoss", -1)]}, "logits.0: a weight must be .* not -1"),
        ({"logits": ("KLLoss", [1, 2])}, "logits: 2 weights for 1 output"),
        ({"logits": [({"type": "KLLoss", "temprature": 2}, 1)]}, "unknown key 'temprature'.*'temperature'"),
        ({"logits": [3]}, "logits.0 must be a loss, its name"),
        ({"logits": [nn.MSELoss]}, "logits.0 must be a loss"),
        ({"logits": {"types": [KLLoss()]}}, "logits must hold lists of losses and numbers"),
        ({"loss": nn.CrossEntropyLoss(axis=1, reduction="none")}, "loss.0: CrossEntropyLoss gives shape"),
        ({"loss": nn.NLLLoss(weight=paddle.ones([9]))}, "loss.0: NLLLoss: "),
        ({"loss": None, "logits": None, "features": []}, "there is nothing to train by"),
        ({"logits_at": "half"}, "logits_at must be full or head, not 'half'"),
        ({"teacher_weighting": "confidence"}, "confidence weighs several teachers"),
        ({"images": (4, 64, 64)}, "takes images of 3 channels.*trial on images 2 x 4 x 64 x 64"),
        ({"images": "photo.jpg"}, "images must be a tensor N x C x H x W, not str"),
    ],
)
def test_wrong_arguments_are_refused_with_what_would_be_right(change, message):
    with pytest.raises(UserError, match=message):
        distiller(**change)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("body", "body", "L2Los"), r"Feature\(body, body, L2Los\): loss.type: unknown loss.*'L2Loss'"),
        (("body", "body", "CrossEntropyLoss"), "compares logits with the label, not two features"),
        (("body", {"atr": "x"}, "L2Loss"), "teacher: must be a sublayer's dotted name"),
        (("body", "body", "L2Loss", -1.0), "weight: must be .*number of 0 or above.* not -1.0"),
        (("body", "body", "L2Loss", 1.0, "atuo"), "connector: must be none, auto, or a `type`"),
        (
            ("body", "body", "L2Loss", 1.0, "auto", {"start": 3}),
            "schedule.start: unknown key .*'start_iter'",
        ),
        (
            ("body", "body", "L2Loss", 1.0, "auto", None, -1),
            "teacher_index: must be a whole number of 0 or",
        ),
        (("body", "body", None), "loss: must hold a `type`"),
        (
            ("body", "body", "L2Loss", 1.0, "auto", None, 0, 2.0),
            'share: has no effect without weight="auto"',
        ),
        (
            ("body", "body", "L2Loss", 1.0, "auto", None, 0, 1.0, "all"),
            r"grid: must be \[height, width\].* not 'all'",
        ),
    ],
)
def test_a_feature_is_checked_when_it_is_made(arguments, message):
    with pytest.raises(UserError, match=message):
        Feature(*arguments)


def test_models_that_cannot_teach_or_learn_are_refused():
    net = Net()
    with pytest.raises(UserError, match="share parameters"):
        Distiller(net, net, nn.CrossEntropyLoss(axis=1))
    with pytest.raises(UserError, match=r"teacher must be a paddle.nn.Layer, not str"):
        Distiller(net, "teacher.pdparams", nn.CrossEntropyLoss(axis=1))
    with pytest.raises(UserError, match="output 0 of the student has 3 classes and the teacher's 5"):
        Distiller(net, Net(classes=5), logits="KLLoss")
    for parameter in net.parameters():
        parameter.stop_gradient = True
    with pytest.raises(UserError, match="no parameter that is trained"):
        Distiller(net, Net(), nn.CrossEntropyLoss(axis=1))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (paddle.zeros([4, 8, 10]), "labels must be a tensor of whole numbers"),
        (paddle.zeros([5, 8, 10], "int64"), "4 images have labels of the shape"),
        ([1, 2], "not list"),
        (paddle.full([4, 8, 10], CLASSES, "int64"), "label holds classes from 3 to 3, but the model has 3"),
        (paddle.full([4, 8, 10], -1, "int64"), "label holds classes from -1"),
        (paddle.zeros([4, 4, 5], "int64"), r"logits have .* \[4, 3, 8, 10\], and the label \[4, 4, 5\]"),
    ],
)
def test_labels_of_another_form_are_refused(labels, message):
    with pytest.raises(UserError, match=message):
        distiller()(paddle.to_tensor(IMAGES), labels)


def test_a_distiller_is_not_compiled_as_a_whole():
    with pytest.raises(UserError, match=r"cannot be compiled as a whole, .*fit\(to_static_training=True\)"):
        paddle.jit.to_static(distiller())

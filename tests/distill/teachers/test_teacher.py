import numpy as np
import paddle
import pytest
import tiny
from distilling import Both

from paddleseg import models
from paddleseg.distill import AdaptorBase
from paddleseg.distill.taps import Tap
from paddleseg.distill.teachers.teacher import Teacher, Teachers
from paddleseg.distill.teachers.weighting import confidence_weights, weighted_logits


def segmentation_model(index=-1, num_classes=3):
    """Return a small FCN whose head gives logits at a stride of 8 or, with index 0, of 4."""
    paddle.seed(index % 5)
    return models.FCN(num_classes, models.backbones.MobileNetV2_x0_25(), (index,), channels=4)


def test_a_teacher_answers_without_gradient_and_never_changes():
    model = tiny.TinyNet(dropout=0.5)
    teacher = Teacher(model, Both)
    before = {k: v.numpy() for k, v in model.state_dict().items()}
    x = paddle.randn([2, 3, 8, 8])
    (logits,), taps = teacher(x)
    (again,), _ = teacher(x)
    np.testing.assert_array_equal(logits.numpy(), again.numpy())  # no dropout, no batch statistics
    assert all(tensor.stop_gradient for tensor in (logits, *taps.values()))
    assert all(p.stop_gradient for p in model.parameters())
    assert all((v.numpy() == before[k]).all() for k, v in model.state_dict().items())


def test_a_bare_tensor_counts_as_a_list_of_one():
    logits, _ = Teacher(tiny.BareNet(), Both)(paddle.randn([2, 3, 8, 8]))
    assert [item.shape for item in logits] == [[2, 2, 8, 8]]


def test_the_heads_logits_upsampled_are_the_models():
    model = segmentation_model()
    teacher = Teacher(model)
    x = paddle.randn([2, 3, 65, 41])
    logits, _ = teacher.at_head(x)
    assert logits[0].shape[2:] < [65, 41]
    assert logits[0].stop_gradient
    for whole in (teacher.upsampled(logits, x.shape[2:]), teacher(x)[0]):
        assert [item.shape for item in whole] == [[2, 3, 65, 41]]
        np.testing.assert_array_equal(whole[0].numpy(), model(x)[0].numpy())


def test_any_other_models_outputs_are_its_heads():
    model = tiny.TinyNet(outputs=2)
    x = paddle.randn([2, 3, 8, 6])
    logits, _ = Teacher(model).at_head(x)
    again = Teacher(model).upsampled(logits, [8, 6])
    assert len(logits) == 2
    for one, two, expected in zip(logits, again, model(x)):
        np.testing.assert_array_equal(one.numpy(), expected.numpy())
        np.testing.assert_array_equal(two.numpy(), expected.numpy())


def test_a_forward_of_ones_own_is_what_counts():
    class Doubling(models.FCN):
        def forward(self, x):
            return [2 * logits for logits in super().forward(x)]

    model = Doubling(2, models.backbones.MobileNetV2_x0_25(), channels=4)
    x = paddle.randn([1, 3, 33, 33])
    logits, _ = Teacher(model).at_head(x)
    np.testing.assert_array_equal(logits[0].numpy(), model(x)[0].numpy())


class LogitsOfForward(AdaptorBase):
    def mapping_layers(self):
        return {"hidden_0": self.model.logit_list} if self.add_tensor else {}


@pytest.mark.parametrize(
    ("adaptor", "declared", "key"),
    [
        (None, [(Tap("attr", "logit_list", 0), "c.yml")], Tap("attr", "logit_list", 0)),
        (LogitsOfForward, [], "hidden_0"),
    ],
)
def test_what_forward_leaves_is_tapped_at_the_head_too(adaptor, declared, key):
    model = segmentation_model()
    teacher = Teacher(model, adaptor, declared)
    for size in (33, 64):
        x = paddle.randn([1, 3, size, size])
        (logits,), taps = teacher.at_head(x)
        assert taps[key].shape == [1, 3, size, size]
        assert logits.shape[2] < size
        np.testing.assert_array_equal(taps[key].numpy(), model(x)[0].numpy())


@pytest.mark.parametrize("weighting", ["mean", "confidence"])
def test_teachers_at_the_head_are_joined_at_the_smallest_of_their_sizes(weighting):
    coarse, fine = segmentation_model(-1), segmentation_model(0)
    x = paddle.randn([2, 3, 64, 64])
    label = paddle.randint(0, 3, [2, 64, 64])
    (joined,), _ = Teachers([Teacher(coarse), Teacher(fine)], weighting, at="head")(x, label)
    heads = [coarse.head_logits(x)[0], fine.head_logits(x)[0]]
    size = heads[0].shape[2:]
    assert size < heads[1].shape[2:]
    heads = paddle.stack([heads[0], *fine.upsampled(heads[1:], size)])
    stride = 64 // size[0]
    weights = None if weighting == "mean" else confidence_weights(heads, label[:, ::stride, ::stride])
    np.testing.assert_array_equal(joined.numpy(), weighted_logits(heads, weights).numpy())


def test_the_keys_of_the_images_reach_each_teacher():
    class Keyed(Teacher):
        def at_head(self, images, keys=None):
            self.seen = keys
            return super().at_head(images, keys)

    teachers = [Keyed(tiny.TinyNet()), Keyed(tiny.TinyNet())]
    Teachers(teachers)(paddle.randn([2, 3, 8, 8]), keys=[(0, 5), (1, 7)])
    assert [teacher.seen for teacher in teachers] == [[(0, 5), (1, 7)]] * 2

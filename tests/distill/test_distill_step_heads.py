"""A step of distillation that compares logits before models resize them to the image."""

import distilling
import numpy as np
import paddle
import pytest
import tiny
from stepping import BATCH, confidences, log_softmax, make_step, section

from paddleseg.losses import CrossEntropyLoss, KLLoss

RNG = np.random.default_rng(12)


def head_step(student, teachers, weighting="mean", loss=None):
    return make_step(student, teachers, [], section(loss or KLLoss(), coef=3), weighting, logits_at="head")


def resized(x, size):
    """Bilinear, half-pixel centres, without the smoothing that others do when they make smaller."""
    for axis, length in zip((2, 3), size):
        places = np.clip((np.arange(length) + 0.5) * x.shape[axis] / length - 0.5, 0, None)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        shape = [1, 1, 1, 1]
        shape[axis] = length
        part = (places - low).reshape(shape)
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def nearest(label, size):
    rows, columns = ((np.arange(n) * m // n) for n, m in zip(size, label.shape[1:]))
    return label[:, rows][:, :, columns]


def kl(student, teacher, valid):
    log_s, log_t = log_softmax(student, 1), log_softmax(teacher, 1)
    divergence = (np.exp(log_t) * (log_t - log_s)).mean(1)
    return (divergence * valid).sum() / valid.sum()


HEAD_IMAGES = RNG.standard_normal((2, 3, 13, 18)).astype("float32")
HEAD_LABEL = RNG.choice([0, 1, 255], (2, 13, 18))
HEAD_BATCH = {"img": paddle.to_tensor(HEAD_IMAGES), "label": paddle.to_tensor(HEAD_LABEL), "iteration": 1}


def head_of(model):
    return model.head_logits(HEAD_BATCH["img"])[0].numpy().astype("float64")


@pytest.mark.parametrize("strides", [(2, 2), (2, 4), (4, 2)])
def test_logits_at_the_head_are_compared_at_the_smaller_of_both(strides):
    student, teacher = (tiny.StridedNet(stride=stride) for stride in strides)
    student.eval()
    step = head_step(student, [teacher])
    parts = step(HEAD_BATCH)
    s, t = head_of(student), head_of(teacher)
    size = np.minimum(s.shape[2:], t.shape[2:])
    valid = nearest(HEAD_LABEL, size) != 255
    assert not valid.all()
    expected = 3 * kl(resized(s, size), resized(t, size), valid)
    assert float(parts["KLLoss"]) == pytest.approx(expected, rel=1e-5)
    full = student(HEAD_BATCH["img"])[0]
    expected = float(CrossEntropyLoss()(full, HEAD_BATCH["label"]))
    assert float(parts["CrossEntropyLoss"]) == pytest.approx(expected, rel=1e-6)
    parts["loss"].backward()
    assert student.classify.weight.grad is not None
    assert teacher.classify.weight.grad is None


def test_any_loss_gets_the_label_at_the_heads_size():
    loss = distilling.MaskedGap()
    head_step(tiny.StridedNet(stride=2), [tiny.StridedNet()], loss=loss)(HEAD_BATCH)
    np.testing.assert_array_equal(loss.label.numpy(), nearest(HEAD_LABEL, [4, 5]))


def test_a_loss_that_resizes_labels_gets_them_whole():
    class WholeLabel(distilling.MaskedGap):
        resizes_label = True

        def forward(self, student, teacher, label):
            self.label = label
            return ((student - teacher) ** 2).mean()

    loss = WholeLabel()
    head_step(tiny.StridedNet(stride=2), [tiny.StridedNet()], loss=loss)(HEAD_BATCH)
    np.testing.assert_array_equal(loss.label.numpy(), HEAD_LABEL)


def test_a_teacher_at_the_head_does_not_upsample():
    class WithoutUpsampling(tiny.StridedNet):
        upsampled = None

    head_step(tiny.StridedNet(), [WithoutUpsampling()])(HEAD_BATCH)


@pytest.mark.parametrize("weighting", ["mean", "confidence"])
def test_several_teachers_at_the_head(weighting):
    student = tiny.StridedNet(stride=2)
    student.eval()
    teachers = [tiny.StridedNet(stride=2), tiny.StridedNet(stride=4, width=3)]
    value = float(head_step(student, teachers, weighting)(HEAD_BATCH)["KLLoss"])
    size = head_of(teachers[1]).shape[2:]
    z = np.stack([resized(head_of(teacher), size) for teacher in teachers])
    label = nearest(HEAD_LABEL, size)
    weights = 0.5 if weighting == "mean" else confidences(z, label, 255)
    expected = 3 * kl(resized(head_of(student), size), (weights * z).sum(0), label != 255)
    assert value == pytest.approx(expected, rel=1e-5)


def test_a_teacher_at_the_head_beside_one_that_has_none():
    student, teachers = tiny.StridedNet(stride=2), [tiny.TinyNet(), tiny.StridedNet(stride=2)]
    student.eval()
    value = float(head_step(student, teachers)(HEAD_BATCH)["KLLoss"])
    head, teacher_head = head_of(student), head_of(teachers[1])
    other = resized(teachers[0](HEAD_BATCH["img"])[0].numpy().astype("float64"), head.shape[2:])
    valid = nearest(HEAD_LABEL, head.shape[2:]) != 255
    assert value == pytest.approx(3 * kl(head, (other + teacher_head) / 2, valid), rel=1e-5)


def test_images_without_a_label_at_the_head():
    student, teacher = tiny.StridedNet(), tiny.StridedNet()
    student.eval()
    step = head_step(student, [teacher])
    s, t = head_of(student), head_of(teacher)
    valid = np.ones((2, *s.shape[2:]))
    without = step({key: value for key, value in HEAD_BATCH.items() if key != "label"})
    assert float(without["KLLoss"]) == pytest.approx(3 * kl(s, t, valid), rel=1e-5)
    partly = step({**HEAD_BATCH, "label": HEAD_BATCH["label"][:1]})
    valid[:1] = nearest(HEAD_LABEL[:1], valid.shape[1:]) != 255
    assert float(partly["KLLoss"]) == pytest.approx(3 * kl(s, t, valid), rel=1e-5)


def test_a_model_without_a_head_of_its_own_is_compared_as_it_is(models):
    at_head = head_step(models[0], [models[1]])(BATCH)
    full = make_step(models[0], [models[1]], [], section(KLLoss(), coef=3))(BATCH)
    assert float(at_head["KLLoss"]) == pytest.approx(float(full["KLLoss"]), rel=1e-6)

import numpy as np
import paddle
import pytest
from loss_reference import (
    batch_norm,
    conv,
    divergence,
    nearest,
    normal,
    state_of,
    tensor,
    unit,
    valid_mask,
    vectors,
)
from loss_tests import NUM_CLASSES, MaskedLossTests

from paddleseg.losses import CIRKDMemoryLoss, cirkd_memory_loss


def formula(student, teacher, memory, label=None, temperature=0.1, kd_temperature=1.0):
    valid = valid_mask(student, label)
    if not valid.any():
        return 0.0
    ours, theirs = (unit(vectors(x)[valid]) @ memory.T / temperature for x in (student, teacher))
    return divergence(ours, theirs, 1, kd_temperature).mean()


def projection(student, state):
    x = conv(np.asarray(student, dtype=np.float64), state["projection.0.weight"])
    x = np.maximum(batch_norm(x, state, "projection.1"), 0)
    return conv(x, state["projection.3.weight"])


class TestCIRKDMemoryLoss(MaskedLossTests):
    loss = CIRKDMemoryLoss
    spreads = True
    steepest = 1e6  # batch norm blows up the rounding errors of a constant channel
    refused = [
        ({"num_classes": 4}, "CIRKDMemoryLoss needs student_channels"),
        *(
            ({"num_classes": 4, "student_channels": 3, "teacher_channels": 3, **arguments}, message)
            for arguments, message in (
                ({"num_classes": 0}, "num_classes must be a whole number above 0, not 0"),
                ({"pixel_memory_size": 0}, "pixel_memory_size must be a whole number above 0"),
                ({"region_contrast_size": 1.5}, "region_contrast_size must be a whole number"),
                ({"pixel_weight": -1}, "pixel_weight must be a number of 0 or above, not -1"),
                ({"kd_temperature": 0}, "kd_temperature must be a positive number, not 0"),
            )
        ),
    ]

    def build(self, student_channels, teacher_channels):
        sizes = {"pixel_memory_size": 20, "region_memory_size": 3}
        return CIRKDMemoryLoss(NUM_CLASSES, student_channels, teacher_channels, **sizes)

    def formula(self, loss, student, teacher, label):
        state = state_of(loss)
        projected = projection(student, state)
        # The sample is the whole of each queue, in an order that changes nothing.
        memories = (state[f"{queue}.vectors"] for queue in ("pixels", "regions"))
        return sum(0.1 * formula(projected, teacher, memory, label) for memory in memories)


def build(**arguments):
    return CIRKDMemoryLoss(3, 4, 5, **{"pixel_memory_size": 40, "region_memory_size": 4, **arguments})


def batch(seed=1):
    height, width = 6, 7
    label = np.random.RandomState(seed).randint(0, 2, (2, 2 * height, 2 * width))
    label[0, :4], label[1] = 255, 1  # class 2 is absent, class 0 from the second image
    return normal((2, 4, height, width), seed), normal((2, 5, height, width), seed + 1), label


def queues(loss):
    return (loss.pixels.vectors.numpy().reshape(3, 40, 5), loss.regions.vectors.numpy().reshape(3, 4, 5))


@pytest.mark.parametrize(("temperature", "kd_temperature"), [(0.1, 1.0), (0.5, 3.0)])
def test_equals_the_formula(temperature, kd_temperature):
    student, teacher = normal((2, 5, 3, 4), seed=1), normal((2, 5, 3, 4), seed=2)
    memory = unit(normal((11, 5), seed=3))
    label = np.random.RandomState(4).choice([0, 255], (2, 6, 9))
    value = cirkd_memory_loss(
        *map(tensor, (student, teacher, memory.astype("float32"), label)),
        temperature=temperature,
        kd_temperature=kd_temperature,
    )
    expected = formula(student, teacher, memory, label, temperature, kd_temperature)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)


def test_remembers_the_mean_of_each_class_of_each_image():
    loss, (student, teacher, label) = build(), batch()
    before = queues(loss)[1].copy()
    loss(*map(tensor, (student, teacher, label)))
    v, small = unit(vectors(teacher)), nearest(label, 6, 7)
    mean = {(n, k): unit(v[n][small[n] == k].mean(axis=0)) for n, k in ((0, 0), (0, 1), (1, 1))}
    expected = before
    expected[0, 0], expected[1, 0], expected[1, 1] = mean[0, 0], mean[0, 1], mean[1, 1]
    np.testing.assert_allclose(queues(loss)[1], expected, rtol=1e-5, atol=1e-6)
    assert loss.regions.cursor.tolist() == [1, 2, 0]


def test_remembers_pixels_of_the_class_itself():
    loss, (student, teacher, label) = build(), batch()
    before = queues(loss)[0].copy()
    loss(*map(tensor, (student, teacher, label)))
    v, small = unit(vectors(teacher)), nearest(label, 6, 7)
    available = [min(16, (small[0] == 0).sum()), min(16, (small[0] == 1).sum()) + 16, 0]
    assert loss.pixels.cursor.tolist() == available
    after = queues(loss)[0]
    for k, count in enumerate(available):
        of_class = v[small == k]
        places = [np.abs(of_class - row).max(axis=1).argmin() for row in after[k, :count]]
        assert len(set(places)) == count
        np.testing.assert_allclose(after[k, :count], of_class[places].reshape(-1, 5), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(after[k, count:], before[k, count:])


def test_draws_its_pixels_from_paddles_generator():
    held = []
    for seed in (1, 1, 2):
        paddle.seed(0)
        loss = build()
        paddle.seed(seed)
        loss(*map(tensor, batch()))
        held.append(queues(loss)[0])
    np.testing.assert_array_equal(held[0], held[1])
    assert (held[0] != held[2]).any()


def test_compares_with_as_many_vectors_of_each_class():
    loss = build(pixel_contrast_size=7, region_contrast_size=2)
    assert (loss.pixel_sample, loss.region_sample) == (3, 1)


def test_weights_of_its_two_parts():
    values = {}
    for weights in ((1, 0), (0, 1), (2, 3)):
        paddle.seed(5)
        loss = build(pixel_weight=weights[0], region_weight=weights[1])
        values[weights] = float(loss(*map(tensor, batch())))
    np.testing.assert_allclose(values[2, 3], 2 * values[1, 0] + 3 * values[0, 1], rtol=1e-5)


def test_remembers_nothing_in_eval_mode():
    loss = build()
    loss.eval()
    before = queues(loss)
    loss(*map(tensor, batch()))
    for now, then in zip(queues(loss), before):
        np.testing.assert_array_equal(now, then)
    assert loss.pixels.cursor.tolist() == loss.regions.cursor.tolist() == [0, 0, 0]


def test_resumes_exactly_from_its_state(tmp_path):
    loss = build()
    loss(*map(tensor, batch()))
    paddle.save(loss.state_dict(), str(tmp_path / "loss.pdparams"))
    resumed = build()
    resumed.set_state_dict(paddle.load(str(tmp_path / "loss.pdparams")))
    values = []
    for one in (loss, resumed):
        paddle.seed(7)
        values.append([float(one(*map(tensor, batch(seed)))) for seed in (3, 5, 7)])
    assert values[0] == values[1]
    np.testing.assert_array_equal(queues(loss)[0], queues(resumed)[0])


def test_queues_are_state_but_not_trained():
    loss = build()
    assert {"pixels.vectors", "pixels.cursor", "regions.vectors", "regions.cursor"} <= set(loss.state_dict())
    assert sum(not p.stop_gradient for p in loss.parameters()) == 4

import numpy as np
import pytest
from loss_reference import (
    divergence,
    extremes,
    log_softmax,
    loss_and_gradient,
    normal,
    tensor,
    valid_mask,
    wave,
)
from loss_tests import MaskedLossTests

from paddleseg.errors import UserError
from paddleseg.losses import KLLoss, kl_loss


def standardised(logits):
    """Return the logits of each pixel with mean 0 and deviation 1, as Algorithm 1 of the paper does."""
    logits = np.asarray(logits, dtype=np.float64)
    return (logits - logits.mean(axis=1, keepdims=True)) / np.sqrt(logits.var(axis=1, keepdims=True) + 1e-6)


class TestKLLoss(MaskedLossTests):
    loss = KLLoss
    cases = (
        {},
        {"temperature": 4.0},
        {"temperature": 0.5, "reduction": "pixel"},
        {"temperature": 3.0, "reduction": "pixel"},
        {"temperature": 2.0, "logit_standardization": True},
    )
    any_channels = False
    other_shapes = ((6, 5), (2, 3, 7))
    refused = [
        *(
            ({"temperature": t}, "temperature must be a positive number, not")
            for t in (0, -1.0, np.nan, np.inf)
        ),
        ({"reduction": "sum"}, "unknown reduction 'sum': it is one of 'mean', 'pixel'"),
    ]

    def formula(self, loss, student, teacher, label):
        if loss.logit_standardization:
            student, teacher = standardised(student), standardised(teacher)
        values = divergence(student, teacher, 1, loss.temperature)[valid_mask(student, label)]
        if loss.reduction == "mean":
            values = values / student.shape[1]
        return values.mean() if values.size else 0.0


# PaddleSeg 2.8.0 on Paddle 3.3.1.
@pytest.mark.parametrize(
    ("label", "temperature", "golden"),
    [
        ("none", 1, 0.53336823),
        ("none", 4.0, 0.73546499),
        ("all valid", 1, 0.53336823),
        ("all valid", 4.0, 0.73546499),
        ("some ignored", 1, 0.52334046),
        ("some ignored", 4.0, 0.72471255),
    ],
)
def test_equals_paddleseg(label, temperature, golden):
    array = (np.arange(40) * 7 % 3).reshape(2, 4, 5)
    if label == "some ignored":
        array[0, :2] = 255
        array[1, 3, 4] = 255
    student, teacher = wave((2, 3, 4, 5), 0.7, 3.0), wave((2, 3, 4, 5), 1.3, 2.0)
    value = KLLoss(temperature=temperature)(*map(tensor, (student, teacher, *[array] * (label != "none"))))
    np.testing.assert_allclose(float(value), golden, rtol=2e-6)


def test_equals_paddleseg_on_vectors():
    student, teacher = wave((2, 3, 4, 5), 0.7, 3.0), wave((2, 3, 4, 5), 1.3, 2.0)
    value = KLLoss(temperature=2.0)(tensor(student[:, :, 0, 0]), tensor(teacher[:, :, 0, 0]))
    np.testing.assert_allclose(float(value), 0.43259129, rtol=2e-6)


def test_is_zero_where_both_agree():
    logits = normal((2, 3, 4, 5), seed=7)
    value, gradient = loss_and_gradient(lambda x: kl_loss(x, tensor(logits), temperature=2.0), logits)
    assert abs(value) < 1e-7
    np.testing.assert_allclose(gradient, 0, atol=1e-7)


def test_standardised_logits_count_without_mean_and_size():
    # The paper's example (its Figure 2): what counts is how the classes relate, not how large the logits are.
    teacher = normal((2, 4, 3, 3), seed=1)
    loss = KLLoss(temperature=2.0, logit_standardization=True)
    assert float(loss(tensor(0.3 * teacher - 5), tensor(teacher))) < 1e-9
    assert float(KLLoss(temperature=2.0)(tensor(0.3 * teacher - 5), tensor(teacher))) > 0.01


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_is_exact_for_extreme_logits(temperature):
    student, teacher = extremes((2, 3, 5, 5), seed=10), extremes((2, 3, 5, 5), seed=11)
    value, gradient = loss_and_gradient(
        lambda x: kl_loss(x, tensor(teacher), temperature=temperature), student
    )
    expected = divergence(student, teacher, 1, temperature).mean() / 3
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    p, q = (np.exp(log_softmax(logits / temperature, 1)) for logits in (teacher, student))
    np.testing.assert_allclose(gradient, temperature * (q - p) / student.size, rtol=1e-4, atol=1e-9)


def test_the_function_refuses_the_same_hyperparameters():
    logits = tensor(normal((1, 3, 2, 2), seed=1))
    for arguments, message in TestKLLoss.refused:
        with pytest.raises(UserError, match=message):
            kl_loss(logits, logits, **arguments)

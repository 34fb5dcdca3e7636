import numpy as np
import paddle
import pytest
import tiny

from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss
from paddleseg.training.step import SupervisedStep

RNG = np.random.default_rng(2)
BATCH = {
    "img": paddle.to_tensor(RNG.standard_normal((2, 3, 6, 6)).astype("float32")),
    "label": paddle.to_tensor(RNG.integers(0, 2, (2, 6, 6))),
}


def cross_entropy(logits):
    logits = logits.numpy().astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -np.take_along_axis(log_p, BATCH["label"].numpy()[:, None], 1).mean()


def test_each_output_has_its_own_weighted_loss():
    model = tiny.TinyNet(outputs=2)
    model.eval()
    step = SupervisedStep(model, {"types": [CrossEntropyLoss(), CrossEntropyLoss()], "coef": [1, 0.4]})
    losses = {name: float(value) for name, value in step(BATCH).items()}
    first, second = (cross_entropy(logits) for logits in model(BATCH["img"]))
    assert losses["CrossEntropyLoss"] == pytest.approx(first, rel=1e-5)
    assert losses["CrossEntropyLoss_1"] == pytest.approx(0.4 * second, rel=1e-5)
    assert losses["loss"] == pytest.approx(first + 0.4 * second, rel=1e-5)


def test_a_bare_tensor_counts_as_a_list_of_one():
    step = SupervisedStep(tiny.BareNet(), {"types": [CrossEntropyLoss()], "coef": [1]})
    assert set(step(BATCH)) == {"loss", "CrossEntropyLoss"}


def test_another_number_of_losses_than_outputs_is_refused():
    step = SupervisedStep(tiny.TinyNet(outputs=2), {"types": [CrossEntropyLoss()], "coef": [1]})
    with pytest.raises(UserError, match="2 outputs and the config 1 loss for them .CrossEntropyLoss"):
        step(BATCH)

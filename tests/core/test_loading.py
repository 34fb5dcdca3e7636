import numpy as np
import pytest

from paddleseg.core.loading import load_batches, stack
from paddleseg.errors import UserError


class Squares:
    """Sample i is i squared; one of them may be broken."""

    def __init__(self, broken=None):
        self.broken = broken

    def __len__(self):
        return 8

    def __getitem__(self, key):
        if key == self.broken:
            raise UserError(f"sample {key} is broken: dé")
        return {"img": np.full((2, 2), key**2, "float32"), "label": np.int64(key)}


KEYS = [[3, 1], [0, 7], [5, 2]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_come_in_the_samplers_order_as_tensors(num_workers):
    batches = list(load_batches(Squares(), KEYS, num_workers, stack))
    assert [batch["label"].tolist() for batch in batches] == KEYS
    assert [batch["img"][:, 0, 0].tolist() for batch in batches] == [[9, 1], [0, 49], [25, 4]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_users_mistake_arrives_whole_at_its_batch(num_workers):
    batches = iter(load_batches(Squares(broken=7), KEYS, num_workers, stack))
    assert next(batches)["label"].tolist() == [3, 1]
    with pytest.raises(UserError, match="^sample 7 is broken: dé$"):
        next(batches)

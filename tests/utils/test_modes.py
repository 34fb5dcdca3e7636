"""The mode of each layer comes back, also where a model is frozen in part."""

import pytest
from paddle import nn

from paddleseg.utils.modes import modes_restored


@pytest.mark.parametrize("fails", [False, True])
def test_a_part_that_is_frozen_stays_frozen(fails):
    model = nn.Sequential(nn.Conv2D(3, 4, 1), nn.Sequential(nn.BatchNorm2D(4)))
    model[1].eval()
    try:
        with modes_restored(model):
            model.eval()
            model.train()
            if fails:
                raise OSError
    except OSError:
        assert fails
    assert [layer.training for layer in model.sublayers(include_self=True)] == [True, True, False, False]

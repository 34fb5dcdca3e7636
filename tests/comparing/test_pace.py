"""The seconds of an iteration, from a short training."""

import pytest

from paddleseg.comparing.pace import mean_of_schedule


def test_the_pace_counts_a_loss_that_ends_with_its_share():
    slow, with_loss, without = [5.0] * 4, [2.0] * 8, [1.0] * 8
    assert mean_of_schedule([*slow, *with_loss, *without]) == pytest.approx(0.6 * 2 + 0.4 * 1)

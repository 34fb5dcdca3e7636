"""The share of the gap, by hand."""

import pytest

from paddleseg.report.gap import share_of_gap, why_no_share


def test_the_share_by_hand():
    plain, teacher = [0.30, 0.32, 0.31], [0.41]
    assert share_of_gap([0.36, 0.37, 0.35], plain, teacher) == pytest.approx(0.5)
    assert share_of_gap([0.29], plain, teacher) == pytest.approx(-0.2)
    assert why_no_share(plain, teacher) is None


@pytest.mark.parametrize(
    ("plain", "teacher", "why"),
    [
        ([0.30, 0.32, 0.34], [0.33], "not better"),
        ([0.30, 0.32, 0.34], [0.35], "not better"),
        ([0.30], [0.50], "two seeds"),
        ([0.30, 0.32], [], "not known"),
        ([0.30, 0.32], None, "not known"),
        ([0.40, 0.41], [0.30], "not better"),
    ],
)
def test_no_share_where_the_gap_says_nothing(plain, teacher, why):
    assert share_of_gap([0.33], plain, teacher) is None
    assert why in why_no_share(plain, teacher)

"""The picture over all pairs, from tables as tools/compare.py writes them."""

import cv2
import pairs
import pytest

TABLE = """| method | equal | iterations | over plain, 95 % interval | verdict |
| --- | --- | --- | --- | --- |
| student alone |  | 9 |  |  |
| KLLoss, coef 3 | iterations | 9 | -0.1000 (-0.2000 to +0.1000) | not shown |
| KLLoss, coef 3 | time | 6 | +0.0100 (-0.0200 to +0.0400) | not shown |
| the default | time | 6 | +0.0500 (+0.0300 to +0.0600) | better |
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "table.md").write_text(TABLE + "\nSeconds are those of a run.\n", encoding="utf-8")
    return tmp_path


def test_rows_at_equal_time_give_a_difference_and_its_interval(folder):
    assert pairs.differences([folder]) == {
        "KLLoss, coef 3": (0.01, -0.02, 0.04),
        "the default": (0.05, 0.03, 0.06),
    }


def test_the_last_of_several_tables_wins(folder, tmp_path):
    later = tmp_path / "later.md"
    later.write_text(
        TABLE.replace("+0.0500 (+0.0300", "+0.0700 (+0.0400").replace("KLLoss", "Other"), "utf-8"
    )
    assert pairs.differences([folder, later]) == {
        "KLLoss, coef 3": (0.01, -0.02, 0.04),
        "Other, coef 3": (0.01, -0.02, 0.04),
        "the default": (0.07, 0.04, 0.06),
    }


def test_picture_is_drawn(folder, tmp_path):
    pairs.draw({"a": [folder], "b": [folder]}, tmp_path / "pairs.png")
    assert cv2.imread(str(tmp_path / "pairs.png")).std() > 0


def test_help_says_what_flags_are_and_no_absolute_path(help_of):
    text = help_of(pairs)
    assert "NAME=FOLDER" in text
    assert "/tmp" not in text

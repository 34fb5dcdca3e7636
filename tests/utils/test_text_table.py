"""Tables for the log."""

from paddleseg.utils.text_table import aligned


def test_first_column_stands_left_and_the_others_right():
    assert aligned([("", "mIoU"), ("before", "0.9"), ("a", "1")]) == [
        "        mIoU",
        "before   0.9",
        "a          1",
    ]

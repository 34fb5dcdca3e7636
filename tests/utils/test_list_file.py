import pytest

from paddleseg.errors import UserError
from paddleseg.utils.list_file import read_lines, read_names


def test_lines_are_kept_as_they_are_and_a_byte_order_mark_is_not(tmp_path):
    (tmp_path / "list.txt").write_bytes("\ufeffa.png  \r\n\nb ü.png\nc\u2028\x0cd.png".encode())
    assert read_lines(tmp_path / "list.txt") == ["a.png  ", "", "b ü.png", "c\u2028\x0cd.png"]


def test_names_are_what_the_lines_hold(tmp_path):
    (tmp_path / "list.txt").write_text("\n a b.png \n  \nc.png\n", encoding="utf-8")
    assert read_names(tmp_path / "list.txt") == ["a b.png", "c.png"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, r"cannot read the list '[^']*list.txt': there is no such file$"),
        (lambda path: path.mkdir(), "it is no plain file"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "'utf-8' codec"),
        (lambda path: path.symlink_to(path), "list.txt': Too many levels of symbolic links$"),
    ],
)
def test_what_cannot_be_read_is_told_once(tmp_path, make, told):
    path = tmp_path / "list.txt"
    make(path)
    with pytest.raises(UserError, match=told):
        read_lines(path)

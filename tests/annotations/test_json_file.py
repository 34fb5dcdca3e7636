import pytest

from paddleseg.annotations import json_file
from paddleseg.annotations.json_file import item, numbers, read_json
from paddleseg.errors import UserError


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"shapes": [', "it is no JSON: Expecting value: line 1 column 13"),
        (b'{"a": "\xff"}', "it is no JSON: 'utf-8' codec can't decode byte 0xff"),
        (b"[1, 2]", r"its JSON is no mapping \{...\} at the top"),
        (b'{"shapes": ' + b"[" * 1_000_000, "its JSON is nested too deeply"),
        (b"", "it is empty"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, content, told):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=told) as refusal:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(refusal.value)


def test_a_file_larger_than_the_memory_is_refused_unread(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("{}" + " " * 3000)
    monkeypatch.setattr(json_file, "available_memory", lambda: 5000)
    with pytest.raises(UserError, match="it has 2.932 KiB, and reading it takes 3 times as much memory"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("value", [None, "7", True, [7]])
def test_a_value_of_another_type_is_refused(value):
    with pytest.raises(UserError, match="'id'"):
        item({"id": value}, "id", int)
    assert item({"id": 7}, "id", float) == 7


@pytest.mark.parametrize(
    "value", [5, "ab", [[1, 2], [3]], [1, 2, 3], [[1, "x"]], [[1, None]], [[1, float("nan")]], [[1, 10**400]]]
)
def test_what_is_no_list_of_points_is_refused(value):
    with pytest.raises(UserError, match=r"its polygon is no list of points \[x, y\]"):
        numbers(value, "polygon")


def test_points_may_be_pairs_or_flat():
    assert numbers([[1, 2], [3, 4.5]], "polygon").tolist() == numbers([1, 2, 3, 4.5], "polygon").tolist()
    with pytest.raises(UserError, match="its polygon has 2 points, but needs 3"):
        numbers([1, 2, 3, 4], "polygon", least=3)

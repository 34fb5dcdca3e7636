"""What a comparison stores, read again after it was damaged."""

from paddleseg.comparing.storage import read_dict


def test_a_damaged_file_holds_nothing_and_is_named(tmp_path, lines):
    path = tmp_path / "pace.json"
    assert read_dict(str(path)) == {}
    path.write_text('{"student alone": {"seco', encoding="utf-8")
    assert read_dict(str(path)) == {}
    assert any(f"{path} is damaged" in line for line in lines)

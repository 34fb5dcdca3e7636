"""Sizes as text, and the memory that is available."""

import pytest

from paddleseg.utils.sizes import available_memory, format_size, parse_size


def test_texts_of_sizes():
    texts = ("4G", "1.5 GiB", "800M", "12", "2kb", "1T")
    assert [parse_size(text) for text in texts] == [2**32, 3 * 2**29, 800 * 2**20, 12, 2048, 2**40]


@pytest.mark.parametrize("text", ["", "G", "-1G", "4X", "0", "0.1", "4 G 2"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"is not a size such as 800M or 4G"):
        parse_size(text)


def test_sizes_as_texts():
    sizes = (12, 1536, 2**30, 3 * 2**40)
    assert [format_size(size) for size in sizes] == ["12 bytes", "1.5 KiB", "1 GiB", "3072 GiB"]


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_may_have_less_memory_than_its_machine(tmp_path, version):
    names = ("memory.max", "memory.current", "memory.stat")
    if version == 1:
        names = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat")
        (tmp_path / "memory").mkdir()
    whole = available_memory(tmp_path)
    limit, used, parts = (tmp_path / name for name in names)
    used.write_text("3000\n")
    parts.write_text(f"anon 9\n{'total_' if version == 1 else ''}inactive_file 500\n")
    for text, expected in (("5000\n", 2500), ("1000\n", 0)):
        limit.write_text(text)
        assert available_memory(tmp_path) == expected
    limit.write_text("max\n")
    assert (available_memory(tmp_path) is None) == (whole is None)

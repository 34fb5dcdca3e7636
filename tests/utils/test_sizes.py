import pytest

from paddleseg.utils import sizes
from paddleseg.utils.sizes import available_memory, size_of_text, told_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4G", 4 * 2**30),
        ("1.5 GiB", 3 * 2**29),
        ("800M", 800 * 2**20),
        ("12", 12),
        ("2kb", 2048),
        ("1T", 2**40),
    ],
)
def test_sizes_as_flags_say_them(text, size):
    assert size_of_text(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "4X", "0", "0.1", "4 G 2"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=r"is no size such as 800M or 4G"):
        size_of_text(text)


@pytest.mark.parametrize(
    ("size", "told"), [(12, "12 bytes"), (1536, "1.5 KiB"), (2**30, "1 GiB"), (3 * 2**40, "3072 GiB")]
)
def test_sizes_in_words(size, told):
    assert told_size(size) == told


def test_a_container_may_have_less_memory_than_its_machine(monkeypatch, tmp_path):
    limit, used = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(sizes, "_CONTAINER", ((str(limit), str(used)),))
    whole = available_memory()
    for text, expected in (("max", None), ("5000", 2000), ("1000", 0)):
        limit.write_text(text)
        used.write_text("3000")
        got = available_memory()
        if expected is None:
            # Nothing but what others of the machine do meanwhile.
            assert (got is None) == (whole is None)
        else:
            assert got == expected

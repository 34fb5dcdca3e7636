"""Archives are unpacked completely, inside their folder and within limits, or not at all."""

import bz2
import contextlib
import gzip
import lzma
import stat
import struct
import tarfile
import tracemalloc
import zipfile

import pytest
from archives import make_archive, make_tar, make_zip, tar_member

from paddleseg.errors import UserError
from paddleseg.weights.archive import Budget, Limits, extract

MEMBERS = {"top/": b"", "top/a.txt": b"first", "top/deep/b.txt": b"second"}


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_members_are_extracted(tmp_path, kind):
    members = MEMBERS if kind == "zip" else {**MEMBERS, "top/": tar_member(tarfile.DIRTYPE)}
    path = make_archive(tmp_path / "archive", members, kind)
    folder = extract(path, tmp_path / "out")
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert files == {"top/a.txt": b"first", "top/deep/b.txt": b"second"}
    with pytest.raises(UserError, match="exists already"):
        extract(path, folder)


def assert_refused(archive, tmp_path, message, **limits):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message):
        extract(archive, tmp_path / "out", Limits(**limits))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "a/..",
        "/tmp/evil",
        "//host/share/evil",
        "C:\\evil",
        "C:evil",
        "c:/evil",
        "\\evil",
        "\\\\host\\share\\evil",
        "a\\..\\..\\evil",
    ],
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_members_outside_of_the_folder_are_refused(tmp_path, make, name):
    archive = make(tmp_path / "archive", {"good": b"1", name: b"2"})
    assert_refused(archive, tmp_path, "would leave the folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    archive = make_tar(tmp_path / "archive", {"good": b"1", "odd": tar_member(kind, "/etc/passwd")})
    assert_refused(archive, tmp_path, "'odd' is a link or a device")


def test_a_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive", "w") as file:
        info = zipfile.ZipInfo("odd")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    assert_refused(tmp_path / "archive", tmp_path, "'odd' is a link or a device")


def test_damaged_archives_are_refused(tmp_path):
    path = make_tar(tmp_path / "archive", {"a": bytes(range(256)) * 40})
    path.write_bytes(path.read_bytes()[:-30])
    assert_refused(path, tmp_path, "cannot extract .*archive")
    path = make_zip(tmp_path / "archive", {"a": b"text " * 100})
    path.write_bytes(path.read_bytes().replace(b"text text", b"toxt text", 1))
    assert_refused(path, tmp_path, "cannot extract .*archive.*CRC")
    path.write_bytes(b"nothing of the kind")
    assert_refused(path, tmp_path, "neither a zip nor a tar")


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["a\x00b", "x" * 300, "\udce4.png", "", "."])
def test_names_that_no_file_can_have_are_refused_or_read_differently(tmp_path, make, name):
    try:
        path = make(tmp_path / "archive", {"good": b"1", name: b"2"})
    except (ValueError, IndexError):
        pytest.skip("the library writes no such name")
    with contextlib.suppress(UserError):
        assert (extract(path, tmp_path / "out") / "good").read_bytes() == b"1"
        return
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("again", ["a/b", "a//b", "./a/b"])
def test_a_member_that_is_there_twice_is_refused(tmp_path, kind, again):
    path = tmp_path / "archive"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("a/b", "harmless")
            file.writestr(again, "not")
    else:
        with tarfile.open(path, "w") as file:
            for name in ("a/b", again):
                file.addfile(tarfile.TarInfo(name))
    assert_refused(path, tmp_path, "is there twice")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_file_that_is_a_folder_too_is_refused(tmp_path, make):
    assert_refused(make(tmp_path / "archive", {"a": b"1", "a/b": b"2"}), tmp_path, "cannot extract")


def test_nothing_is_written_through_a_link(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    members = {"link": tar_member(tarfile.SYMTYPE, str(outside)), "link/evil": b"1"}
    assert_refused(make_tar(tmp_path / "archive", members), tmp_path, "'link' is a link")
    assert not list(outside.iterdir())


SMALL = {"small": 100_000, "read": 100_000}


@pytest.mark.parametrize("kind", ["zip", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path, kind):
    path = make_archive(tmp_path / "archive", {"good": b"1", "zeros": bytes(3_000_000)}, kind)
    most = max(100_000, 100 * path.stat().st_size)
    assert_refused(path, tmp_path, f"refused to extract .*: it unpacks to more than {most} bytes", **SMALL)


def test_a_zip_that_states_a_wrong_size_is_refused(tmp_path):
    path = make_archive(tmp_path / "archive", {"zeros": bytes(3_000_000)}, "zip")
    # The size in both headers is now 1000; the library reads no further than it says.
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 3_000_000), struct.pack("<I", 1000)))
    assert_refused(path, tmp_path, "cannot extract", **SMALL)


def test_what_is_written_counts_too(tmp_path):
    budget = Budget(make_zip(tmp_path / "archive", {"a": b"1"}), Limits(**SMALL))
    budget.spend(100_000)
    with pytest.raises(UserError, match="unpacks to more than 100000 bytes"):
        budget.spend(1)


def test_size_and_number_are_limited(tmp_path):
    path = make_tar(tmp_path / "archive", {f"{i}": bytes(100) for i in range(9)})
    assert_refused(path, tmp_path, "more than 8 members", members=8)
    assert_refused(path, tmp_path, "unpacks to more than 899 bytes", members=9, size=899)
    assert len(list(extract(path, tmp_path / "out", Limits(members=9, size=900)).iterdir())) == 9


def header(kind, size, name="x"):
    """Return the header of a tar's member, with a size that may be negative."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    field = struct.pack(">q", size).rjust(12, b"\xff" if size < 0 else b"\0")
    block[124:136] = field if size < 0 else b"\x80" + field[1:]
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


HEADERS = {
    "a header of gigabytes": (header(tarfile.XHDTYPE, 1 << 33), "it has a header of"),
    "a name of gigabytes": (header(tarfile.GNUTYPE_LONGNAME, 1 << 33), "it has a header of"),
    "a member of a negative size": (header(tarfile.REGTYPE, -512), "unpacks to more than|cannot extract"),
    "a header of a negative size": (header(tarfile.XHDTYPE, -512), "it has a header of|cannot extract"),
    "a member of terabytes": (header(tarfile.REGTYPE, 1 << 45), "it unpacks to more than"),
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("open_", [open, gzip.open, bz2.open, lzma.open])
@pytest.mark.parametrize("first", [True, False])
def test_headers_with_wrong_sizes_are_refused(tmp_path, kind, open_, first):
    block, message = HEADERS[kind]
    path = tmp_path / "archive"
    with open_(path, "wb") as file:
        file.write((b"" if first else header(tarfile.REGTYPE, 0, "first")) + block + bytes(2048))
    tracemalloc.start()
    try:
        assert_refused(path, tmp_path, message)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()

"""Unpack archives: completely or not at all, inside one folder, and within limits of size."""

import bz2
import contextlib
import dataclasses
import functools
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import typing
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from paddleseg.errors import UserError, one_line

WEIGHT_SUFFIXES = (".pdparams", ".safetensors", ".pth", ".pt")

# More than any published data set holds, and small enough not to fill a disk unnoticed.
MAX_BYTES = 256 << 30


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits above which an archive is refused.

    Attributes:
        size: bytes of all members.
        members: number of members.
        ratio: bytes of all members for each byte of the archive. Deflate reaches a factor of 1000 only on
            zeros, and stays below 100 on any useful picture or mask.
        small: bytes of all members that do no harm at any ratio.
        read: bytes read at once; `tarfile` reads a member's header as one piece.
    """

    size: int = MAX_BYTES
    members: int = 5_000_000
    ratio: int = 100
    small: int = 256 << 20
    read: int = 16 << 20


# The errors that the readers raise for a damaged archive; ValueError is for names that no file can have.
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    OSError,
    ValueError,
    struct.error,
)


class _Member(typing.NamedTuple):
    name: str
    kind: str  # "file", "folder" or "link or device"
    size: int  # bytes, as the archive states
    open: typing.Callable


def extract(archive, folder, limits=Limits()):
    """Unpack a zip or tar archive, compressed or not, into `folder`, which must not exist yet.

    The folder appears only when it is complete. Only plain files and folders are accepted; their modes and
    owners are ignored.

    Args:
        archive: path of the archive.
        folder: path of the new folder.
        limits: `Limits`.

    Returns:
        `folder` as a `pathlib.Path`.

    Raises:
        UserError: the folder exists; the archive is damaged or of another kind; a member would lie outside
            of `folder`, is a link or a device, or is there twice; or the archive exceeds `limits`. Nothing is
            left in these cases.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise UserError(f"cannot extract {archive}: {folder} exists already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        whole = scratch / "whole"
        whole.mkdir()
        with _opened(archive, limits) as members:
            members = _checked(archive, members, limits)
            budget = Budget(archive, limits)
            for member in members:
                _write(member, whole / member.name, budget)
        os.rename(whole, folder)
    except _DAMAGE as error:
        raise UserError(f"cannot extract {archive}: {one_line(error)}") from error
    finally:
        shutil.rmtree(scratch)
    return folder


@contextlib.contextmanager
def _opened(archive, limits):
    """Yield an iterator over an archive's `_Member`s, which can be opened within this context."""
    partial = functools.partial
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            infos = file.infolist()
            yield (_Member(i.filename, _zip_kind(i), i.file_size, partial(file.open, i)) for i in infos)
        return
    with contextlib.ExitStack() as stack:
        stream = _ShortReads(stack.enter_context(_decompressed(archive)), archive, limits.read)
        try:
            file = stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))
        except tarfile.ReadError:
            raise UserError(f"cannot extract {archive}: it is neither a zip nor a tar archive") from None
        yield (_Member(i.name, _tar_kind(i), i.size, partial(file.extractfile, i)) for i in file)


def _decompressed(archive):
    """Open a file, decompressed if it is a gzip, bzip2 or xz file."""
    with open(archive, "rb") as file:
        start = file.read(6)
    openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
    return next((open_ for magic, open_ in openers.items() if start.startswith(magic)), open)(archive, "rb")


class _ShortReads:
    """A file that refuses long reads, since `tarfile` reads a header as one piece, whatever its size."""

    def __init__(self, file, archive, longest):
        self._file = file
        self._archive = archive
        self._longest = longest
        self.seek, self.tell = file.seek, file.tell

    def read(self, size):
        if not 0 <= size <= self._longest:
            raise UserError(f"refused to extract {self._archive}: it has a header of {size} bytes")
        return self._file.read(size)


def _checked(archive, members, limits):
    """Return the list of all members, after checking that each is harmless and all are within the limits.

    The members of a tar are read one after the other, only as long as they are within the limits.
    """
    checked, files, budget = [], set(), Budget(archive, limits)
    for member in members:
        problem = _problem(member)
        if member.kind == "file":
            path = os.path.normpath(member.name)
            problem = problem or ("is there twice" if path in files else None)
            files.add(path)
        if problem:
            raise UserError(f"refused to extract {archive}: its member {member.name!r} {problem}")
        checked.append(member)
        budget.spend(member.size)
        if len(checked) > limits.members:
            raise UserError(f"refused to extract {archive}: it has more than {limits.members} members")
    return checked


def _problem(member):
    posix, windows = PurePosixPath(member.name), PureWindowsPath(member.name)
    if windows.anchor or posix.is_absolute() or ".." in windows.parts:
        return "would leave the folder"
    return "is a link or a device" if member.kind == "link or device" else None


class Budget:
    """Counts the bytes that come out of an archive, and raises `UserError` when they are too many."""

    def __init__(self, archive, limits):
        self._archive = archive
        self._most = min(limits.size, max(limits.small, limits.ratio * os.path.getsize(archive)))
        self._spent = 0

    def spend(self, size):
        self._spent += size
        if size < 0 or self._spent > self._most:
            raise UserError(f"refused to extract {self._archive}: it unpacks to more than {self._most} bytes")


def _zip_kind(info):
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "link or device"
    return "folder" if info.filename.endswith("/") else "file"


def _tar_kind(info):
    if info.isdir():
        return "folder"
    return "file" if info.isreg() else "link or device"


def _write(member, path, budget):
    if member.kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, open(path, "wb") as target:
        # The bytes are counted again, since a zip may state a wrong size.
        while chunk := source.read(1 << 20):
            budget.spend(len(chunk))
            target.write(chunk)

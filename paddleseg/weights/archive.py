"""Archives unpacked: whole or not at all, within their folder, and within limits."""

import bz2
import contextlib
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from paddleseg.errors import UserError, one_line

WEIGHT_SUFFIXES = (".pdparams", ".safetensors")

# More than any published data set holds, and less than what fills a disk before anyone looks.
MAX_BYTES = 256 << 30
MAX_MEMBERS = 5_000_000
# Deflate gains a factor of 1000 on nothing but zeros, and below 100 on any picture or mask worth having; what
# is small does no harm whatever its ratio.
MAX_RATIO, RATIO_COUNTS_FROM = 100, 256 << 20
# The longest piece that is read at once; the header of a tar's member is one piece.
MAX_READ = 16 << 20


def extract(archive, folder):
    """Unpack a zip or tar archive, compressed or not, into `folder`, which must not exist.

    The folder appears when it is whole. Only plain files and folders are accepted, and their modes and
    owners are not taken over.

    Returns:
        `folder` as a `pathlib.Path`.

    Raises:
        UserError: the folder exists; the archive is damaged or of another kind; it holds a member that
            would lie outside `folder`, a link, a device, or a file twice; or it unpacks to more than 256 GiB,
            5,000,000 members, or 100 times its own size (where that is above 256 MiB). Nothing is left then.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise UserError(f"cannot extract {archive}: {folder} exists already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        whole = scratch / "whole"
        whole.mkdir()
        with _opened(archive) as (infos, describe, read):
            members = _checked(archive, infos, describe)
            budget = _Budget(archive)
            for info, name, kind in members:
                _write_member(whole / name, kind, lambda info=info: read(info), budget)
        os.rename(whole, folder)
    except _DAMAGE as error:
        raise UserError(f"cannot extract {archive}: {one_line(error)}") from error
    finally:
        shutil.rmtree(scratch)
    return folder


# What the readers raise for an archive in disorder; a ValueError for names that no file can have.
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


@contextlib.contextmanager
def _opened(archive):
    """Give what iterates over the members, what tells one's (name, kind, size), and what opens one.

    The kind is "file", "folder" or "link or device".
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield file.infolist(), lambda info: (info.filename, _zip_kind(info), info.file_size), file.open
        return
    with contextlib.ExitStack() as stack:
        stream = _ShortReads(stack.enter_context(_unpacked(archive)), archive)
        try:
            file = stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))
        except tarfile.ReadError:
            raise UserError(f"cannot extract {archive}: it is neither a zip nor a tar archive") from None
        yield file, lambda info: (info.name, _tar_kind(info), info.size), file.extractfile


def _unpacked(archive):
    """Open an archive as what its compression hides."""
    with open(archive, "rb") as file:
        start = file.read(6)
    openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
    return next((open_ for magic, open_ in openers.items() if start.startswith(magic)), open)(archive, "rb")


class _ShortReads:
    """A file that refuses to be read in long pieces: `tarfile` reads a header whole, whatever its size."""

    def __init__(self, file, archive):
        self._file = file
        self._archive = archive
        self.seek, self.tell = file.seek, file.tell

    def read(self, size):
        if not 0 <= size <= MAX_READ:
            raise UserError(f"refused to extract {self._archive}: it has a header of {size} bytes")
        return self._file.read(size)


def _checked(archive, infos, describe):
    """Return [(info, name, kind)] of all members, having seen that each is harmless and all are not too much.

    A tar is read on only while what it has shown so far is within the limits.
    """
    members, files, budget = [], set(), _Budget(archive)
    for info in infos:
        name, kind, size = describe(info)
        _check_member(archive, name, kind)
        if kind == "file" and os.path.normpath(name) in files:
            raise UserError(f"refused to extract {archive}: its member {name!r} is there twice")
        if kind == "file":
            files.add(os.path.normpath(name))
        members.append((info, name, kind))
        budget.spend(size)
        if len(members) > MAX_MEMBERS:
            raise UserError(f"refused to extract {archive}: it has more than {MAX_MEMBERS} members")
    return members


class _Budget:
    """Counts what comes out of an archive, and refuses when it is too much."""

    def __init__(self, archive):
        self._archive = archive
        self._most = min(MAX_BYTES, max(RATIO_COUNTS_FROM, MAX_RATIO * os.path.getsize(archive)))
        self._spent = 0

    def spend(self, size):
        self._spent += size
        if size < 0 or self._spent > self._most:
            raise UserError(f"refused to extract {self._archive}: it unpacks to more than {self._most} bytes")


def _zip_kind(info):
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "link or device"
    return "folder" if info.filename.endswith("/") else "file"


def _tar_kind(info):
    if info.isdir():
        return "folder"
    return "file" if info.isreg() else "link or device"


def _check_member(archive, name, kind):
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if windows.anchor or posix.is_absolute() or ".." in windows.parts:
        raise UserError(f"refused to extract {archive}: its member {name!r} would leave the folder")
    if kind == "link or device":
        raise UserError(f"refused to extract {archive}: its member {name!r} is a link or a device")


def _write_member(path, kind, opener, budget):
    if kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with opener() as source, open(path, "wb") as target:
        # Counted again, since a zip may lie about a member's size.
        while chunk := source.read(1 << 20):
            budget.spend(len(chunk))
            target.write(chunk)

"""Folders that are complete or not there: written beside, flushed to disk, renamed, and checked when read."""

import contextlib
import json
import os
import shutil
import stat
from pathlib import PureWindowsPath

from paddleseg.utils.save_dir import file_digest

MANIFEST = "manifest.json"
TENSOR_SUFFIXES = (".pdparams", ".pdopt")
_BESIDE, _OLD = ".part", ".old"


def write_folder(final, writers):
    """Write a folder so that it is complete as soon as it has its name.

    Args:
        final: path of the folder; one that is there is replaced.
        writers: {file name: `write(path)`}.

    Raises:
        OSError: it cannot be written; an older folder of that name is unchanged.
    """
    beside, old = final + _BESIDE, final + _OLD
    try:
        for leftover in (beside, old):
            shutil.rmtree(leftover, ignore_errors=True)
        os.makedirs(beside)
        for name, write in writers.items():
            write(os.path.join(beside, name))
        _write_manifest(beside, list(writers))
        _flush(beside)
        if os.path.isdir(final):
            os.rename(final, old)
        os.rename(beside, final)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        if not os.path.isdir(final) and os.path.isdir(old):
            os.rename(old, final)
        raise
    _flush(os.path.dirname(final) or ".")
    shutil.rmtree(old, ignore_errors=True)


def linked(path):
    """Return `write(path)` for a file that is there already: a second name for it, or a copy."""

    def write(target):
        try:
            os.link(path, target)
        except OSError:  # not every file system has hard links
            shutil.copyfile(path, target)

    return write


def mend_folder(final):
    """Finish or undo the renaming of a process that was killed in `write_folder`."""
    for candidate in (final + _BESIDE, final + _OLD):
        if not os.path.isdir(final) and os.path.isdir(candidate) and problem(candidate) is None:
            os.rename(candidate, final)
        shutil.rmtree(candidate, ignore_errors=True)


def folders_in(parent):
    """Return the names of folders, sorted, including those that `mend_folder` may restore."""
    entries = os.listdir(parent) if os.path.isdir(parent) else []
    return sorted({entry.removesuffix(_BESIDE).removesuffix(_OLD) for entry in entries})


def problem(folder, needed=()):
    """Return in words what is wrong with a folder that `write_folder` wrote; None if it is unchanged.

    Args:
        folder: its path.
        needed: names of files that it must have.
    """
    try:
        with open(_regular(os.path.join(folder, MANIFEST)), encoding="utf-8") as file:
            files = json.load(file)["files"]
        return _misfit(folder, files, needed) or _difference(folder, files)
    except FileNotFoundError as error:
        return f"{os.path.basename(error.filename)} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{MANIFEST} or a file it names cannot be read ({error!r})"


def _misfit(folder, files, needed):
    if not isinstance(files, dict) or not files:
        return f"{MANIFEST} lists no files"
    for name in files:
        # `PureWindowsPath` knows the separators of all systems.
        if PureWindowsPath(name).name != name or name in ("..", MANIFEST):
            return f"{MANIFEST} lists {name!r}, which is not a file of this folder"
    for name in needed:
        if name not in files:
            return f"{MANIFEST} does not list {name}"
    # A file of tensors would be loaded; other files, such as a note of the user's, do no harm.
    for name in sorted(os.listdir(folder)):
        if name.endswith(TENSOR_SUFFIXES) and name not in files:
            return f"{MANIFEST} does not list {name}"
    return None


def _difference(folder, files):
    for name, expected in files.items():
        path = _regular(os.path.join(folder, name))
        size = os.path.getsize(path)
        if size != expected["size"]:
            return f"{name} has {size} bytes instead of {expected['size']}"
        if file_digest(path) != expected["sha256"]:
            return f"{name} differs from what was written (SHA-256)"
    return None


def _regular(path):
    # Reading a device or a pipe might never end.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError(f"{os.path.basename(path)} is not a regular file")
    return path


def write_json(value):
    """Return `write(path)` for a value of plain containers."""

    def write(path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1)

    return write


def _write_manifest(folder, names):
    files = {}
    for name in names:
        path = os.path.join(folder, name)
        _flush(path)
        files[name] = {"size": os.path.getsize(path), "sha256": file_digest(path)}
    write_json({"files": files})(os.path.join(folder, MANIFEST))
    _flush(os.path.join(folder, MANIFEST))


def _flush(path):
    """Flush a file or folder to the disk."""
    # Some file systems cannot flush a folder, and Windows cannot open one.
    with contextlib.suppress(OSError) if os.path.isdir(path) else contextlib.nullcontext():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

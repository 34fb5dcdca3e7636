"""Files from the network, whole or not at all."""

import contextlib
import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote, urlsplit

import requests
from filelock import FileLock
from tqdm import tqdm

from paddleseg.errors import UserError

CONNECT_SECONDS = 10
STALL_SECONDS = 60


def download(url, path):
    """Download `url` to the file `path`, with a progress bar on a terminal.

    The file appears when it is whole; a broken download leaves nothing behind.

    Args:
        url: an address of http or https.
        path: the file to write; its folder is made if missing, a file of that name is replaced.

    Returns:
        `path` as a `pathlib.Path`.

    Raises:
        UserError: there is no connection within 10 s, none of the data came for 60 s, the server refused,
            or the file is shorter than the server announced.
        OSError: the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        _stream(url, part)
        os.replace(part, path)
    except requests.RequestException as error:
        raise UserError(f"cannot download {url}: {_one_line(error)}") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _stream(url, part):
    # A compressed transfer would make the announced length useless as a check.
    with requests.get(
        url, stream=True, timeout=(CONNECT_SECONDS, STALL_SECONDS), headers={"Accept-Encoding": "identity"}
    ) as reply:
        reply.raise_for_status()
        announced = int(reply.headers.get("Content-Length", 0)) or None
        name = PurePosixPath(urlsplit(url).path).name
        bar = tqdm(total=announced, unit="B", unit_scale=True, desc=name, disable=None)
        with bar, open(part, "wb") as file:
            for chunk in reply.iter_content(1 << 16):
                file.write(chunk)
                bar.update(len(chunk))
    size = part.stat().st_size
    if announced and size != announced:
        raise UserError(f"cannot download {url}: the connection broke after {size} of {announced} bytes")


def extract(archive, folder):
    """Unpack a zip or tar archive, compressed or not, into `folder`, which must not exist.

    The folder appears when it is whole. Only plain files and folders are accepted, and their modes and
    owners are not taken over.

    Returns:
        `folder` as a `pathlib.Path`.

    Raises:
        UserError: the folder exists; the archive is damaged or of another kind; or it holds a member that
            would lie outside `folder`, a link or a device. Nothing is written then.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise UserError(f"cannot extract {archive}: {folder} exists already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        whole = scratch / "whole"
        whole.mkdir()
        with _opened(archive) as (members, read):
            for name, kind in members:
                _check_member(archive, name, kind)
            for number, (name, kind) in enumerate(members):
                _write_member(whole / name, kind, lambda number=number: read(number))
        os.rename(whole, folder)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, RuntimeError, OSError) as error:
        raise UserError(f"cannot extract {archive}: {_one_line(error)}") from error
    finally:
        shutil.rmtree(scratch)
    return folder


@contextlib.contextmanager
def _opened(archive):
    """Give the members as (name, "file" | "folder" | "link or device"), and what reads one by number."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            infos = file.infolist()
            yield [(i.filename, _zip_kind(i)) for i in infos], lambda number: file.open(infos[number])
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as file:
            infos = file.getmembers()
            yield [(i.name, _tar_kind(i)) for i in infos], lambda number: file.extractfile(infos[number])
    else:
        raise UserError(f"cannot extract {archive}: it is neither a zip nor a tar archive")


def _zip_kind(info):
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "link or device"
    return "folder" if info.is_dir() else "file"


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


def _write_member(path, kind, opener):
    if kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with opener() as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)


def cached_file(url):
    """Return the local copy of the weights at `url`, downloaded the first time.

    `url` is a .pdparams file, or an archive that holds exactly one. Copies are kept below the folder that
    the environment variable PADDLESEG_HOME names, ~/.paddleseg by default; of several processes one
    downloads and the others wait for it.

    Raises:
        UserError: it cannot be downloaded or extracted, or does not hold exactly one .pdparams file.
    """
    name = unquote(PurePosixPath(urlsplit(url).path).name)
    home = Path(os.environ.get("PADDLESEG_HOME") or "~/.paddleseg").expanduser()
    # Many published files are called model.pdparams, so the folder tells them apart.
    folder = home / "weights" / hashlib.sha256(url.encode()).hexdigest()[:16]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                _fill_cache(url, name, folder)
    except OSError as error:
        raise UserError(
            f"cannot keep {url} below {home}: {error}; PADDLESEG_HOME names another folder"
        ) from error
    return next(folder.rglob("*.pdparams"))


def _fill_cache(url, name, folder):
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        got, whole = download(url, Path(scratch, name or "file")), Path(scratch, "whole")
        if name.endswith(".pdparams"):
            whole.mkdir()
            os.rename(got, whole / name)
        else:
            extract(got, whole)
        found = sorted(str(path.relative_to(whole)) for path in whole.rglob("*.pdparams"))
        if len(found) != 1:
            raise UserError(f"{url} must hold one .pdparams file, but holds {', '.join(found) or 'none'}")
        os.rename(whole, folder)


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__

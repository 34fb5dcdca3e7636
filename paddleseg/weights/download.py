"""Download files completely or not at all, and keep downloaded weights for later runs."""

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote, urlsplit

import requests
from filelock import FileLock
from tqdm import tqdm

from paddleseg.errors import UserError, one_line
from paddleseg.utils.image_files import is_companion
from paddleseg.utils.save_dir import file_digest
from paddleseg.weights.archive import MAX_BYTES, WEIGHT_SUFFIXES, extract

CONNECT_SECONDS = 10
STALL_SECONDS = 60
CHECKSUMS = ("sha256", "md5")


def download(url, path, longest=MAX_BYTES):
    """Download `url` to the file `path`, with a progress bar on a terminal.

    The file appears only when it is complete; a broken download leaves nothing behind.

    Args:
        url: an http or https URL. If it ends with `#sha256=` or `#md5=` and a digest in hexadecimal digits,
            the file must have that digest.
        path: the file to write; its folder is made if it is missing, and an existing file is replaced.
        longest: bytes above which a file is refused. Default 256 GiB.

    Returns:
        `path` as a `pathlib.Path`.

    Raises:
        UserError: no connection within 10 s, no data for 60 s, an error of the server, or a file that is
            shorter than announced, longer than `longest`, or of another digest.
        OSError: the file cannot be written.
    """
    path = Path(path)
    checksum = _checksum(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        _stream(url, partial, longest)
        if checksum:
            _compare_checksum(url, partial, *checksum)
        os.replace(partial, path)
    except requests.RequestException as error:
        raise UserError(f"cannot download {url}: {one_line(error)}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _stream(url, path, longest):
    """Write the reply to `path`; raise `UserError` if it is too long, or shorter than announced."""
    # Uncompressed, or the announced length could not be checked.
    with requests.get(
        url, stream=True, timeout=(CONNECT_SECONDS, STALL_SECONDS), headers={"Accept-Encoding": "identity"}
    ) as reply:
        reply.raise_for_status()
        announced = _announced(url, reply)
        bar = tqdm(total=announced, unit="B", unit_scale=True, desc=_file_name(url), disable=None)
        with bar, open(path, "wb") as file:
            for chunk in reply.iter_content(1 << 16):
                file.write(chunk)
                bar.update(len(chunk))
                if file.tell() > longest:
                    raise UserError(f"cannot download {url}: it does not end after {longest} bytes")
    size = path.stat().st_size
    if announced and size != announced:
        raise UserError(f"cannot download {url}: the connection broke after {size} of {announced} bytes")


def _announced(url, reply):
    """Return the number of bytes that the server announces, None if it does not."""
    length = reply.headers.get("Content-Length", "0").strip()
    if not re.fullmatch(r"[0-9]{1,18}", length):
        raise UserError(f"cannot download {url}: the server announces a length of {length[:40]!r}")
    return int(length) or None


def _split(url):
    try:
        return urlsplit(url)
    except ValueError as error:
        raise UserError(f"cannot download {url}: {one_line(error)}") from None


def _file_name(url):
    """Return a plain file name with the suffix of a URL's path."""
    # Unquoted first, since %2f and %5c separate folders too; Windows paths know both characters.
    name = PureWindowsPath(unquote(_split(url).path)).name
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "file"


def _checksum(url):
    """Return (algorithm, digest) from the end of a URL, None if it has none."""
    fragment = _split(url).fragment
    algorithm, equals, digest = fragment.partition("=")
    if not equals or algorithm not in CHECKSUMS:
        return None
    if not re.fullmatch(r"[0-9a-fA-F]+", digest) or len(digest) != 2 * hashlib.new(algorithm).digest_size:
        raise UserError(f"cannot download {url}: {digest!r} is not {algorithm} in hexadecimal digits")
    return algorithm, digest.lower()


def _compare_checksum(url, path, algorithm, expected):
    digest = file_digest(path, algorithm)
    if digest != expected:
        raise UserError(f"refused the download of {url}: its {algorithm} is {digest}")


def home():
    """Return the folder for files that later runs use again: $PADDLESEG_HOME, or ~/.paddleseg."""
    return Path(os.environ.get("PADDLESEG_HOME") or "~/.paddleseg").expanduser()


def cached_file(url):
    """Return the local copy of the weights at `url`, downloaded the first time.

    Args:
        url: of a file of weights (`WEIGHT_SUFFIXES`), or of an archive with exactly one such file. A digest
            at its end is checked as in `download`. Copies are kept below `home()`. Of several processes, one
            downloads and the others wait for it.

    Raises:
        UserError: the file cannot be downloaded or extracted, or there is not exactly one file of weights.
    """
    name = _file_name(url)
    # Many published files are called model.pdparams; the folder tells them apart.
    folder = home() / "weights" / hashlib.sha256(url.encode()).hexdigest()[:16]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not _weight_files(folder):
                shutil.rmtree(folder, ignore_errors=True)  # without its file, which somebody has deleted
                _fill_cache(url, name, folder)
    except OSError as error:
        raise UserError(
            f"cannot keep {url} below {home()}: {error}; PADDLESEG_HOME names another folder"
        ) from error
    return _weight_files(folder)[0]


def _fill_cache(url, name, folder):
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        file, whole = download(url, Path(scratch, "file")), Path(scratch, "whole")
        if name.endswith(WEIGHT_SUFFIXES):
            whole.mkdir()
            os.rename(file, whole / name)
        else:
            extract(file, whole)
        names = [str(path.relative_to(whole)) for path in _weight_files(whole)]
        if len(names) != 1:
            suffixes = ", ".join(WEIGHT_SUFFIXES[:-1]) + " or " + WEIGHT_SUFFIXES[-1]
            raise UserError(f"{url} must hold one {suffixes} file, but holds {', '.join(names) or 'none'}")
        os.rename(whole, folder)


def _weight_files(folder):
    files = (path for path in folder.rglob("*") if path.suffix in WEIGHT_SUFFIXES and path.is_file())
    return sorted(path for path in files if not is_companion(path.name))

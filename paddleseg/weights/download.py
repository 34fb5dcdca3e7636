"""Files from the network, whole or not at all."""

import hashlib
import os
import re
import tempfile
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote, urlsplit

import requests
from filelock import FileLock
from tqdm import tqdm

from paddleseg.errors import UserError, one_line
from paddleseg.weights.archive import WEIGHT_SUFFIXES, extract

CONNECT_SECONDS = 10
STALL_SECONDS = 60


# More than any published data set holds, and less than what fills a disk before anyone looks.
MAX_BYTES = 256 << 30
CHECKSUMS = ("sha256", "md5")


def download(url, path):
    """Download `url` to the file `path`, with a progress bar on a terminal.

    The file appears when it is whole; a broken download leaves nothing behind.

    Args:
        url: an address of http or https. With `#sha256=` or `#md5=` and a digest in hexadecimal digits at its
            end, what comes is compared with that.
        path: the file to write; its folder is made if missing, a file of that name is replaced.

    Returns:
        `path` as a `pathlib.Path`.

    Raises:
        UserError: there is no connection within 10 s, none of the data came for 60 s, the server refused,
            or the file is shorter than the server announced, longer than 256 GiB, or of another digest.
        OSError: the file cannot be written.
    """
    path = Path(path)
    checksum = _checksum(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        _stream(url, part)
        _compare(url, part, checksum)
        os.replace(part, path)
    except requests.RequestException as error:
        raise UserError(f"cannot download {url}: {one_line(error)}") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _stream(url, part):
    # A compressed transfer would make the announced length useless as a check.
    with requests.get(
        url, stream=True, timeout=(CONNECT_SECONDS, STALL_SECONDS), headers={"Accept-Encoding": "identity"}
    ) as reply:
        reply.raise_for_status()
        announced = _announced(url, reply)
        bar = tqdm(total=announced, unit="B", unit_scale=True, desc=_file_name(url), disable=None)
        with bar, open(part, "wb") as file:
            for chunk in reply.iter_content(1 << 16):
                file.write(chunk)
                bar.update(len(chunk))
                if file.tell() > MAX_BYTES:
                    raise UserError(f"cannot download {url}: it does not end after {MAX_BYTES} bytes")
    size = part.stat().st_size
    if announced and size != announced:
        raise UserError(f"cannot download {url}: the connection broke after {size} of {announced} bytes")


def _announced(url, reply):
    """Return how many bytes the server says will come, None if it does not say."""
    said = reply.headers.get("Content-Length", "0").strip()
    if not re.fullmatch(r"[0-9]{1,18}", said):
        raise UserError(f"cannot download {url}: the server announces a length of {said[:40]!r}")
    return int(said) or None


def _parts(url):
    try:
        return urlsplit(url)
    except ValueError as error:
        raise UserError(f"cannot download {url}: {one_line(error)}") from None


def _file_name(url):
    """Return a plain file name for what an address gives, with its suffix."""
    # Unquoted first, since %2f and %5c part folders as well; Windows knows both signs.
    name = PureWindowsPath(unquote(_parts(url).path)).name
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "file"


def _checksum(url):
    """Return (algorithm, digest) as the end of an address says them, or None."""
    fragment = _parts(url).fragment
    algorithm, equals, digest = fragment.partition("=")
    if not equals or algorithm not in CHECKSUMS:
        return None
    if not re.fullmatch(r"[0-9a-fA-F]+", digest) or len(digest) != 2 * hashlib.new(algorithm).digest_size:
        raise UserError(f"cannot download {url}: {digest!r} is no {algorithm} in hexadecimal digits")
    return algorithm, digest.lower()


def _compare(url, path, checksum):
    if checksum is None:
        return
    algorithm, wanted = checksum
    hashed = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            hashed.update(chunk)
    if hashed.hexdigest() != wanted:
        raise UserError(f"refused what came from {url}: its {algorithm} is {hashed.hexdigest()}")


def home():
    """Return the folder of what is kept for later runs: the environment's PADDLESEG_HOME, or ~/.paddleseg."""
    return Path(os.environ.get("PADDLESEG_HOME") or "~/.paddleseg").expanduser()


def cached_file(url):
    """Return the local copy of the weights at `url`, downloaded the first time.

    `url` is a .pdparams or .safetensors file, or an archive that holds exactly one of either; a digest at its
    end is compared as `download` does. Copies are kept below `home()`; of several processes one downloads and
    the others wait for it.

    Raises:
        UserError: it cannot be downloaded or extracted, or does not hold exactly one such file.
    """
    name = _file_name(url)
    # Many published files are called model.pdparams, so the folder tells them apart.
    folder = home() / "weights" / hashlib.sha256(url.encode()).hexdigest()[:16]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                _fill_cache(url, name, folder)
    except OSError as error:
        raise UserError(
            f"cannot keep {url} below {home()}: {error}; PADDLESEG_HOME names another folder"
        ) from error
    return _weight_files(folder)[0]


def _fill_cache(url, name, folder):
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        got, whole = download(url, Path(scratch, "got")), Path(scratch, "whole")
        if name.endswith(WEIGHT_SUFFIXES):
            whole.mkdir()
            os.rename(got, whole / name)
        else:
            extract(got, whole)
        found = [str(path.relative_to(whole)) for path in _weight_files(whole)]
        if len(found) != 1:
            suffixes = " or ".join(WEIGHT_SUFFIXES)
            raise UserError(f"{url} must hold one {suffixes} file, but holds {', '.join(found) or 'none'}")
        os.rename(whole, folder)


def _weight_files(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in WEIGHT_SUFFIXES and path.is_file())

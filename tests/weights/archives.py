"""Zip and tar archives for tests."""

import io
import tarfile
import zipfile


def make_archive(path, members, kind):
    """Write a "zip", or a tar of another mode such as "w:gz"; return its path."""
    return make_zip(path, members, zipfile.ZIP_DEFLATED) if kind == "zip" else make_tar(path, members, kind)


def make_zip(path, members, compression=zipfile.ZIP_STORED):
    """Write a zip of {name: bytes}; return its path."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def make_tar(path, members, mode="w:gz"):
    """Write a tar of {name: bytes or TarInfo}; return its path."""
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            if not isinstance(content, tarfile.TarInfo):
                info.size = len(content)
            file.addfile(info, None if isinstance(content, tarfile.TarInfo) else io.BytesIO(content))
    return path


def tar_member(kind, target=""):
    """Return a member without content, such as a link to `target`."""
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info

"""Data sets that chance has spoilt; strategies of Hypothesis that give functions which spoil a folder."""

import functools
import os
import shutil
import struct
import zlib

import cv2
import numpy as np
from hypothesis import strategies as st

LISTS = ["train_list.txt", "val_list.txt"]


def _png(width, height, bits=8, colours=0):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def _encoded(array, kind):
    return cv2.imencode(kind, array)[1].tobytes()


CONTENTS = {
    "nothing": b"",
    "a byte": b"x",
    "text": b"<html>404</html>",
    "zeros": bytes(5000),
    "a huge header": _png(2**31 - 1, 2**31 - 1),
    "a large header": _png(40_000, 40_000),
    "a header of colours": _png(32, 32, 16, 6),
    "a tiny image": _encoded(np.zeros((1, 1), "uint8"), ".png"),
    "an odd size": _encoded(np.zeros((31, 33, 3), "uint8"), ".jpg"),
    "grey": _encoded(np.zeros((32, 32), "uint8"), ".jpg"),
    "colours": _encoded(np.full((32, 32, 3), 1, "uint8"), ".png"),
    "with alpha": _encoded(np.full((32, 32, 4), 1, "uint8"), ".png"),
    "16 bits": _encoded(np.full((32, 32), 1, "uint16"), ".png"),
    "16 bits, all ignored": _encoded(np.full((32, 32), 255, "uint16"), ".png"),
    "16 bits, out of range": _encoded(np.full((32, 32), 40_000, "uint16"), ".png"),
    "out of range": _encoded(np.full((32, 32), 7, "uint8"), ".png"),
    "all ignored": _encoded(np.full((32, 32), 255, "uint8"), ".png"),
    "a bitmap": _encoded(np.zeros((32, 32), "uint8"), ".bmp"),
    "a tiff of floats": _encoded(np.zeros((32, 32), "float32"), ".tiff"),
    "webp": _encoded(np.zeros((32, 32, 3), "uint8"), ".webp"),
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
}
LINES = [
    *(
        b"\n",
        b"\r\n",
        b"   \n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"a",
        b"a b c\n",
        b"a\tb\n",
        b"#\n",
        b"\0",
        b"\x85",
    ),
    b"../../../etc/hostname Annotations/train_0.png\n",
    b"/dev/zero Annotations/train_0.png\n",
    b"JPEGImages Annotations\n",
    b"JPEGImages/train_0.jpg JPEGImages/train_0.jpg\n",
    b"Annotations/train_0.png Annotations/train_0.png\n",
    b"x" * 5000 + b" y\n",
    "J\u00e4/\u4e2d.jpg A/\U0001f642.png\n".encode(),
]


def _files(root):
    paths = (os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
    return sorted(p for p in paths if os.path.isfile(p) and os.path.basename(p) not in LISTS)


def _pick(root, number):
    files = _files(root)
    return files[number % len(files)] if files else None


def remove(number, root):
    """Remove a file."""
    if path := _pick(root, number):
        os.remove(path)


def cut(number, share, root):
    """Cut a file off."""
    if path := _pick(root, number):
        os.truncate(path, int(share * os.path.getsize(path)))


def flip(number, seed, root):
    """Change some bytes of a file."""
    if path := _pick(root, number):
        with open(path, "rb") as file:
            content = bytearray(file.read())
        rng = np.random.default_rng(seed)
        for place in rng.integers(0, max(len(content), 1), 8) if content else ():
            content[place] = rng.integers(256)
        _write(path, bytes(content))


def fill(number, kind, root):
    """Put something else into a file."""
    if path := _pick(root, number):
        _write(path, CONTENTS[kind])


def swap(number, other, root):
    """Let two files change their places."""
    one, two = _pick(root, number), _pick(root, other)
    if one and two and one != two:
        os.rename(one, one + ".x")
        os.rename(two, one)
        os.rename(one + ".x", two)


def replace_by(what, number, root):
    """Put a folder, a dangling link or a link to itself where a file was."""
    if path := _pick(root, number):
        os.remove(path)
        if what == "folder":
            os.mkdir(path)
        else:
            os.symlink("nowhere" if what == "dangling" else os.path.basename(path), path)


def edit_list(name, place, line, keep, root):
    """Put a line, or a piece of one, into a list, and perhaps drop what follows."""
    path = os.path.join(root, name)
    if os.path.isfile(path):
        with open(path, "rb") as file:
            content = file.read()
        at = int(place * len(content))
        _write(path, content[:at] + line + (content[at:] if keep else b""))


def encode_list(name, encoding, ending, root):
    """Write a list in another encoding, or with other ends of lines."""
    path = os.path.join(root, name)
    if os.path.isfile(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        _write(path, text.replace("\n", ending).encode(encoding, errors="replace"))


def remove_folder(name, root):
    """Remove a folder, or a list."""
    path = os.path.join(root, name)
    shutil.rmtree(path, ignore_errors=True)
    if os.path.isfile(path):
        os.remove(path)


def _write(path, content):
    if not os.path.isdir(path):
        with open(path, "wb") as file:
            file.write(content)


def _calls(function, *strategies):
    return st.tuples(*strategies).map(lambda drawn: functools.partial(function, *drawn))


def spoilings():
    """Return a strategy of lists of one to three functions that each spoil the folder they are given."""
    number, share, lists = st.integers(0, 40), st.floats(0, 1), st.sampled_from(LISTS)
    one = st.one_of(
        _calls(remove, number),
        _calls(cut, number, share),
        _calls(flip, number, st.integers(0, 2**32)),
        _calls(fill, number, st.sampled_from(sorted(CONTENTS))),
        _calls(fill, number, st.sampled_from(sorted(CONTENTS))),
        _calls(swap, number, number),
        _calls(replace_by, st.sampled_from(["folder", "dangling", "circle"]), number),
        _calls(edit_list, lists, share, st.sampled_from(LINES), st.booleans()),
        _calls(
            encode_list,
            lists,
            st.sampled_from(["utf-16", "utf-8-sig", "latin-1"]),
            st.sampled_from(["\r\n", "\r", "\n\n"]),
        ),
        _calls(remove_folder, st.sampled_from(["JPEGImages", "Annotations", *LISTS])),
    )
    return st.lists(one, min_size=1, max_size=3)

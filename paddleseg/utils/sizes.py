"""Bytes: of memory, in words, and as flags say them."""

import contextlib
import re
from pathlib import Path

_GROUPS = "/sys/fs/cgroup"
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# Of both versions of control groups: what a container may take, what it takes, and what that consists of.
_CONTAINER = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def format_size(size):
    """Return a number of bytes in words."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"


def parse_size(text):
    """Return the bytes that a text such as "4G", "1.5 GiB" or "800M" says, units being powers of 1024.

    Raises:
        ValueError: it says no size above 0.
    """
    said = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(said[1]) * _UNITS[said[2].upper()]) if said else 0
    if size < 1:
        raise ValueError(f"{text!r} is no size such as 800M or 4G")
    return size


def available_memory():
    """Return the bytes of memory that may still be taken, None where the system does not tell."""
    free = []
    with contextlib.suppress(OSError, ValueError), open("/proc/meminfo", encoding="ascii") as file:
        free += [int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")]
    for *names, key in _CONTAINER:
        with contextlib.suppress(OSError, ValueError):  # of "max", which is no number
            limit, used, parts = (Path(_GROUPS, name).read_text() for name in names)
            # Files that were read count as used, but give way.
            cached = dict(line.split() for line in parts.splitlines()).get(key, 0)
            free.append(int(limit) - int(used) + int(cached))
    return max(min(free), 0) if free else None

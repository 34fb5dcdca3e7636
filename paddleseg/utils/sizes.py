"""Sizes in bytes as text, and the memory that is available."""

import contextlib
import re
from pathlib import Path

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# For versions 2 and 1 of cgroups: the files of a container's limit, of its usage and of statistics on the
# usage, and the statistic that is no real usage.
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
    """Return a number of bytes as text, such as "1.5 KiB"."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"


def parse_size(text):
    """Return the bytes of a text such as "4G", "1.5 GiB" or "800M"; units are powers of 1024.

    Raises:
        ValueError: the text is not a size above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise ValueError(f"{text!r} is not a size such as 800M or 4G")
    return size


def available_memory(root="/sys/fs/cgroup"):
    """Return the bytes of memory that are still available, None where the system does not say.

    Args:
        root: where the cgroups are mounted.
    """
    candidates = []  # the system's, and that of each control group
    with contextlib.suppress(OSError, ValueError), open("/proc/meminfo", encoding="ascii") as file:
        candidates += [int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")]
    for *names, statistic in _CONTAINER:
        with contextlib.suppress(OSError, ValueError):  # a limit may be "max", which is not a number
            limit, used, statistics = (Path(root, name).read_text() for name in names)
            # Cached files count as used, but are dropped when memory is needed.
            cached = dict(line.split() for line in statistics.splitlines()).get(statistic, 0)
            candidates.append(int(limit) - int(used) + int(cached))
    return max(min(candidates), 0) if candidates else None

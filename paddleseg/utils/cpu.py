"""What this process may use of the machine's processor, as Linux tells it."""

import os
import platform
from pathlib import Path

# The process that started this one, noted at once: it may die while Paddle, models and data are loaded.
PARENT = os.getppid()


def usable_cores():
    """Return the number of cores that this process may keep busy, at least 1.

    Those that it may run on (affinity), and no more than its cgroups grant it time of: a container that is
    given 2 of 64 cores sees all of them, and with 64 threads it would be stopped most of the time.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    granted = granted_cores()
    return cores if granted is None else max(1, min(cores, int(granted)))


def local_ranks():
    """Return how many processes of this training share the machine, as the launcher says, or all."""
    return int(os.environ.get("PADDLE_LOCAL_SIZE") or os.environ.get("PADDLE_TRAINERS_NUM") or 1)


def granted_cores(cgroup="/proc/self/cgroup", root="/sys/fs/cgroup"):
    """Return how many cores' time the cgroups of this process grant it, a float; None for no limit.

    A limit holds for everything below it, so those of all groups up to the root count. Version 2 has them in
    `cpu.max`, version 1 in `cpu.cfs_quota_us` and `cpu.cfs_period_us`.

    Args:
        cgroup: the file of the process's groups, lines of "number:controllers:path".
        root: where the groups are mounted; in a container often its own group alone, whatever its path.
    """
    try:
        lines = Path(cgroup).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    granted = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in (root, os.path.join(root, controllers), os.path.join(root, "cpu")):
            granted += [_granted_by(folder) for folder in _upwards(Path(mount), path)]
    return min((cores for cores in granted if cores is not None), default=None)


def _upwards(mount, path):
    """Return the folders of a group and of all above it, those of them that are mounted."""
    names = [name for name in path.split("/") if name]
    return [mount.joinpath(*names[:count]) for count in range(len(names) + 1)]


def _granted_by(folder):
    """Return how many cores' time a group grants; None for no limit, or where the folder is none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = ((folder / name).read_text(encoding="ascii") for name in names)
        return float(quota) / float(period) if quota != "max" and float(quota) > 0 else None
    except (OSError, ValueError):
        return None


def slow_in_mkl(cpuinfo="/proc/cpuinfo"):
    """Return the maker of a processor of which MKL does not use the AVX2 that it has, "" for any other.

    MKL looks at the maker, and takes the fast path on Intel's alone.
    """
    try:
        with open(cpuinfo, encoding="ascii", errors="replace") as file:
            pairs = [line.split(":", 1) for line in file if ":" in line]
    except OSError:
        return ""
    told = {}
    for name, value in pairs:
        told.setdefault(name.strip(), value.strip())
    maker = told.get("vendor_id", "GenuineIntel")
    has_avx2 = "avx2" in told.get("flags", "").split()
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return maker if x86 and has_avx2 and maker != "GenuineIntel" else ""

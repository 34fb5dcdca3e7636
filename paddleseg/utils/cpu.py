"""The processor: how many cores this process may use, whether MKL is slow on it, and what helps INT8."""

import os
import platform
from pathlib import Path

# The process that started this one, noted at import: it may die while Paddle, models and data are loaded.
PARENT = os.getppid()
_INTEGER_FLAGS = {"avx_vnni", "avx512_vnni", "avx_vnni_int8", "amx_int8", "asimddp", "i8mm"}


def usable_cores():
    """Return the number of cores that this process may use, at least 1.

    The process's affinity and its cgroups both limit them. A container with the time of 2 of 64 cores sees
    all of them; with 64 threads it would be paused most of the time.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    granted = granted_cores()
    return cores if granted is None else max(1, min(cores, int(granted)))


def local_ranks():
    """Return the number of this training's processes on this machine; if it is unknown, on all machines."""
    return int(os.environ.get("PADDLE_LOCAL_SIZE") or os.environ.get("PADDLE_TRAINERS_NUM") or 1)


def granted_cores(cgroup="/proc/self/cgroup", root="/sys/fs/cgroup"):
    """Return the processor time that this process's cgroups grant, in cores, a float; None for no limit.

    A group's limit also holds for the groups in it, so all groups up to the root count. Version 2 of cgroups
    states the limit in `cpu.max`, version 1 in `cpu.cfs_quota_us` and `cpu.cfs_period_us`.

    Args:
        cgroup: the file of the process's groups, lines of "number:controllers:path".
        root: where the groups are mounted. In a container this is often its own group, whatever its path.
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
    """Return the folders of a group and of all groups above it, from the root down."""
    names = [name for name in path.split("/") if name]
    return [mount.joinpath(*names[:count]) for count in range(len(names) + 1)]


def _granted_by(folder):
    """Return the cores that a group grants; None if it sets no limit or the folder is not a group's."""
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
    """Return the maker of a processor whose AVX2 MKL does not use, "" for any other processor.

    MKL uses AVX2 only where the maker is Intel.
    """
    try:
        with open(cpuinfo, encoding="ascii", errors="replace") as file:
            pairs = [line.split(":", 1) for line in file if ":" in line]
    except OSError:
        return ""
    # Reversed, so that the first core's values are left.
    values = {name.strip(): value.strip() for name, value in reversed(pairs)}
    maker = values.get("vendor_id", "GenuineIntel")
    has_avx2 = "avx2" in values.get("flags", "").split()
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return maker if x86 and has_avx2 and maker != "GenuineIntel" else ""


def integer_instructions(cpuinfo="/proc/cpuinfo"):
    """Return the names of the processor's instructions for products of 8-bit integers, as Linux lists them.

    They are those that onnxruntime uses: VNNI and AMX of x86, the dot products and matrix products of Arm.

    Args:
        cpuinfo: the file in which Linux describes the processor.

    Returns:
        A sorted list, [] if the processor has none; None if that is unknown, as on other systems.
    """
    try:
        with open(cpuinfo, encoding="ascii", errors="replace") as file:
            pairs = [line.split(":", 1) for line in file if ":" in line]
    except OSError:
        return None
    flags = [value.split() for name, value in pairs if name.strip() in ("flags", "Features")]
    return sorted(_INTEGER_FLAGS.intersection(flags[0])) if flags else None

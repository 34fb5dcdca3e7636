"""The cores that a process may use, and processors on which MKL is slow."""

import os

import pytest

from paddleseg.utils import cpu


def write(folder, **files):
    """Write files of a cgroup, dots in their names given as underscores."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text + "\n")


def granted(tmp_path, lines):
    """Return the cores that the cgroups under `tmp_path` grant a process with these lines."""
    path = tmp_path / "cgroup"
    path.write_text("".join(line + "\n" for line in lines))
    return cpu.granted_cores(path, tmp_path / "fs")


def test_cgroups_without_a_limit(tmp_path):
    write(tmp_path / "fs" / "a", cpu_max="max 100000")
    assert granted(tmp_path, ["0::/a"]) is None
    assert granted(tmp_path, ["0::/"]) is None
    assert cpu.granted_cores(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("inner", "outer", "cores"), [("250000 100000", "max 100000", 2.5), ("max 1", "3 2", 1.5)]
)
def test_the_lowest_limit_of_all_groups_counts(tmp_path, inner, outer, cores):
    write(tmp_path / "fs" / "a" / "b", cpu_max=inner)
    write(tmp_path / "fs" / "a", cpu_max=outer)
    assert granted(tmp_path, ["0::/a/b"]) == cores


@pytest.mark.parametrize("path", ["/docker/0123", "/../..", "/"])
def test_a_containers_root_is_its_own_group(tmp_path, path):
    write(tmp_path / "fs", cpu_max="200000 100000")
    assert granted(tmp_path, [f"0::{path}"]) == 2


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_cgroups_of_version_1(tmp_path, mount):
    lines = ["9:memory:/m", "4:cpu,cpuacct:/a", "0::/"]
    group = tmp_path / "fs" / mount / "a"
    group.mkdir(parents=True)
    (group / "cpu.cfs_period_us").write_text("100000\n")
    (group / "cpu.cfs_quota_us").write_text("-1\n")
    assert granted(tmp_path, lines) is None
    (group / "cpu.cfs_quota_us").write_text("400000\n")
    assert granted(tmp_path, lines) == 4


def test_a_file_of_another_form_limits_nothing(tmp_path):
    write(tmp_path / "fs", cpu_max="much")
    assert granted(tmp_path, ["0::/"]) is None


@pytest.mark.parametrize(("granted", "cores"), [(None, 8), (64.0, 8), (2.5, 2), (0.5, 1)])
def test_usable_cores_are_those_of_the_affinity_and_of_the_quota(monkeypatch, granted, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(cpu, "granted_cores", lambda: granted)
    assert cpu.usable_cores() == cores


def test_usable_cores_are_at_most_the_machines():
    assert 1 <= cpu.usable_cores() <= os.cpu_count()


def test_usable_cores_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpu.usable_cores() == 1


def test_the_maker_of_a_processor_on_which_mkl_is_slow(tmp_path, monkeypatch):
    """tests/deploy/test_deployed_engines.py has more processors."""
    monkeypatch.setattr(cpu.platform, "machine", lambda: "AMD64")
    path = tmp_path / "cpuinfo"
    for maker in ("HygonGenuine", "AuthenticAMD", "GenuineIntel"):
        path.write_bytes(
            f"vendor_id\t: {maker}\nmodel name\t: caf\xe9\nflags\t: avx avx2\n".encode("latin-1")
        )
        assert cpu.slow_in_mkl(path) == ("" if maker == "GenuineIntel" else maker)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("processor: 0\nflags\t: fpu avx2 avx512_vnni avx_vnni\n", ["avx512_vnni", "avx_vnni"]),
        ("flags : fpu avx2\n\nflags : fpu avx_vnni\n", []),
        ("Features : fp asimd asimddp\n", ["asimddp"]),
        ("model name : unknown\n", None),
    ],
)
def test_instructions_for_integers_are_those_that_linux_lists(tmp_path, text, names):
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu.integer_instructions(tmp_path / "cpuinfo") == names
    assert cpu.integer_instructions(tmp_path / "none") is None

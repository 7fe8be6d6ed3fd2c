"""How much memory there is to be had: of the machine, and of the control groups we are in."""

from __future__ import annotations

import os

import pytest

from rsretrieve._core.machine.memory import available_bytes

MEMORY = "MemTotal: 9999999 kB\nMemFree: 5 kB\nMemAvailable: 4194304 kB\nCached: 7 kB\n"


@pytest.fixture
def available(tmp_path):
    """A machine with 4 GiB to be had, and the files in which it tells of groups: none yet."""
    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").write_text(MEMORY)
    return lambda: available_bytes(tmp_path, tmp_path / "cgroup")


def write_group(folder, **contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_this_machine_has_some():
    assert 1 << 20 < available_bytes() < 1 << 50


def test_what_is_held_of_files_is_available(available):
    assert available() == 4 << 30


@pytest.mark.parametrize("told", ["", "MemAvailable:", "MemAvailable: much", None])
def test_without_that_line_free_pages_count(available, tmp_path, monkeypatch, told):
    monkeypatch.setattr(os, "sysconf", {"SC_AVPHYS_PAGES": 1 << 18, "SC_PAGE_SIZE": 4096}.get)
    (tmp_path / "meminfo").unlink()
    if told is not None:
        (tmp_path / "meminfo").write_text(told)
    assert available() == 1 << 30


def test_a_system_that_does_not_tell_is_taken_to_have_4_gib(available, tmp_path, monkeypatch):
    def unknown(_):
        raise ValueError("unrecognized configuration name")

    (tmp_path / "meminfo").unlink()
    monkeypatch.setattr(os, "sysconf", unknown)
    assert available() == 4 << 30


@pytest.mark.parametrize(
    ("own", "at"),
    [
        ("0::/", ""),
        ("0::/job/step", "job/step"),
        ("0::/job/step", "job"),  # the limit of the whole job
        ("0::/elsewhere/on/the/host", ""),
        ("0::/../outside", ""),
    ],
)
def test_a_group_may_have_less_than_the_machine(available, tmp_path, own, at):
    (tmp_path / "self" / "cgroup").write_text(f"{own}\n")
    folder = tmp_path / "cgroup" / at
    write_group(folder, memory__max=3 << 30, memory__current=2 << 30)
    assert available() == 1 << 30
    # What was read from files can be let go at any time.
    write_group(folder, memory__stat=f"anon 5\ninactive_file {1 << 29}\nactive_file 7")
    assert available() == 3 << 29
    write_group(folder, memory__max=1 << 30)
    assert available() == 0
    write_group(folder, memory__max=8 << 30)
    assert available() == 4 << 30


def test_a_group_of_the_older_kind_may_have_less_too(available, tmp_path):
    (tmp_path / "self" / "cgroup").write_text("9:name=systemd:/\n4:cpu,memory:/job\n0::/\n")
    v1 = tmp_path / "cgroup" / "memory"
    usage = {"memory__limit_in_bytes": 3 << 30, "memory__usage_in_bytes": 2 << 30}
    write_group(v1 / "job", **usage, memory__stat=f"total_inactive_file {1 << 29}")
    write_group(v1, memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=5)
    assert available() == 3 << 29


@pytest.mark.parametrize("own", ["", "0::/", "nonsense", "4:memory:/gone", "\udcff:"])
@pytest.mark.parametrize("limit", ["max", "", "many"])
def test_groups_that_tell_nothing_have_no_limit(available, tmp_path, own, limit):
    (tmp_path / "self" / "cgroup").write_text(own, errors="surrogateescape")
    write_group(tmp_path / "cgroup", memory__max=limit, memory__current=1)
    assert available() == 4 << 30

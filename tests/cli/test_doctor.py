"""`foliolab doctor`: what it finds on machines that lack something."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework import doctor, host
from foliolab.framework.doctor import Finding
from foliolab.framework.machine import cache, selftest
from foliolab.framework.plugins.registry import Registry, load

pytestmark = pytest.mark.host

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def tried_recorders() -> list[Finding]:
    """What the recorders do here. Each is tried on a program, which takes seconds, so they are tried once."""
    return doctor._recording()


@pytest.fixture(autouse=True)
def recorders_are_tried_once(tried_recorders: list[Finding], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_recording", lambda: tried_recorders)


def one(findings: list[Finding], name: str) -> Finding:
    (found,) = [finding for finding in findings if finding.name == name]
    return found


def examined(registry: Registry | None = None, encoding: str = "utf-8") -> list[Finding]:
    return list(doctor.examine(registry or load(), encoding))


def test_it_runs_and_says_what_follows(foliolab: Run) -> None:
    done = foliolab("doctor")
    assert (done.code, done.err) == (0, "")
    assert "✓ ok       Python" in done.out
    assert "\nComparisons run here; " in done.out or "\nEverything works here." in done.out


def test_what_is_known_is_printed_before_the_kernel_is_tried(monkeypatch: pytest.MonkeyPatch, foliolab: Run) -> None:
    monkeypatch.setattr(doctor, "_kernel", lambda registry: 1 // 0)
    done = foliolab("doctor")
    assert "✓ ok       Python" in done.out
    assert "unexpected ZeroDivisionError" in done.err


def test_no_name_is_longer_than_the_column() -> None:
    assert max(len(finding.name) for finding in examined()) <= doctor.LONGEST


def test_json(foliolab: Run) -> None:
    found = json.loads(foliolab("doctor", "--json").out)
    assert found["can_compare"] is True
    assert {f["state"] for f in found["findings"]} <= {"ok", "limited", "missing"}


def test_native_code_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert selftest.run() == selftest.ANSWER
    monkeypatch.setattr(selftest, "run", lambda: 7)
    found = examined()
    assert one(found, "native code").state == "missing"
    assert not doctor.can_compare(found)

    def fail() -> int:
        raise OSError("libllvm is damaged")

    monkeypatch.setattr(selftest, "run", fail)
    found = examined()
    assert one(found, "native code").state == "limited"
    assert "libllvm is damaged" in one(found, "native code").detail
    assert doctor.can_compare(found)


def test_without_numba_everything_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    found = one(examined(), "native code")
    assert found.state == "limited"
    assert "pip install numba" in found.remedy


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch, foliolab: Run) -> None:
    monkeypatch.setattr(doctor, "NEEDED", (*doctor.NEEDED, "foliolab-no-such"))
    found = one(examined(), "packages")
    assert (found.state, found.remedy) == ("missing", "Install: pip install foliolab-no-such.")
    done = foliolab("doctor")
    assert done.code == 3
    assert "Nothing can be compared here" in done.out


def test_little_memory_one_core_no_huge_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "memory_available", lambda: 1 << 30)
    monkeypatch.setattr(host, "cores", lambda: 1)
    monkeypatch.setattr(host, "huge_pages", lambda: "never")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = examined(encoding="ascii")
    for name in ("memory", "cores", "huge pages", "C compiler", "terminal"):
        assert one(found, name).state == "limited", name
        assert one(found, name).remedy.endswith("."), name
    assert "apt-get install gcc" in one(found, "C compiler").remedy
    assert doctor.can_compare(found)


def test_another_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert one(examined(), "processor").state == "limited"


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "file" / "cache")
    found = one(examined(), "cache")
    assert found.state == "limited"
    assert "FOLIOLAB_CACHE" in found.remedy


def test_failed_plugins_and_absent_policies(plugins: Any, tmp_path: Path) -> None:
    found = one(examined(load([plugins.write(tmp_path, "raises")])), "plugins")
    assert found.state == "limited"
    assert "raises.py:3: ZeroDivisionError" in found.detail
    assert not doctor.can_compare(examined(Registry()))


# -- the facts it rests on -----------------------------------------------------------------------
@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A made-up /proc and /sys below `tmp_path`."""
    monkeypatch.setattr(host, "PROC", tmp_path / "proc")
    monkeypatch.setattr(host, "SYS", tmp_path / "sys")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    return tmp_path


def test_nothing_is_known_of_a_machine_without_proc(machine: Path) -> None:
    assert host.memory_available() is None
    assert host.huge_pages() == ""
    assert host.cores() >= 1


def test_a_memory_cgroup_is_respected(machine: Path) -> None:
    (machine / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    assert host.memory_available() == 8000 * 1024
    group = machine / "sys" / "fs" / "cgroup" / "a" / "b"
    group.mkdir(parents=True)
    (machine / "proc" / "self" / "cgroup").write_text("0::/a/b\n")
    (group / "memory.max").write_text("max\n")
    assert host.memory_available() == 8000 * 1024
    (group.parent / "memory.max").write_text("1000000\n")
    (group.parent / "memory.current").write_text("700000\n")
    (group.parent / "memory.stat").write_text("anon 5\ninactive_file 100000\n")
    assert host.memory_available() == 400000


def test_the_huge_page_setting(machine: Path) -> None:
    place = machine / "sys" / "kernel" / "mm" / "transparent_hugepage"
    place.mkdir(parents=True)
    (place / "enabled").write_text("always [madvise] never\n")
    assert host.huge_pages() == "madvise"

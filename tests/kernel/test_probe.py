"""The capabilities of the running kernel: each is tried, and a missing one has a reason."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foliolab.framework import doctor, host
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import nodes, probe, settings
from foliolab.framework.kernel.probe import Capability
from foliolab.framework.plugins.registry import load

linux = pytest.mark.skipif(sys.platform != "linux", reason="this is not Linux")
NOBODY = 65534


def test_elsewhere_than_on_linux_that_is_all_there_is_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert probe.probe() == [Capability("Linux", False, "this is Darwin; the model runs everywhere")]
    with pytest.raises(KernelError, match="Linux cannot be used here: this is Darwin"):
        probe.require("pidfd")
    findings = [f for f in doctor.examine(load()) if f.name not in ("cores", "processor")]
    (found,) = [f for f in findings if f.name == "Linux"]
    assert (found.state, found.vital) == ("limited", False)
    assert not any(f.name in probe.NAMES[1:] for f in findings)


@linux
def test_here_each_is_there_or_says_why_in_one_line() -> None:
    found = probe.probe()
    assert [one.name for one in found][: len(probe.NAMES)] == list(probe.NAMES)
    for one in found:
        assert "\n" not in one.reason
        assert one.available or one.reason, one


@linux
def test_something_that_is_there_is_not_missed() -> None:
    probe.require("bit 56", "vmstat", "pidfd")


def test_the_doctor_knows_what_to_do_about_each() -> None:
    assert {*doctor.REMEDIES, "CPUs"} == set(probe.NAMES)
    assert all(remedy.endswith(".") for remedy in doctor.REMEDIES.values())


@linux
def test_large_folios_without_a_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "THP", tmp_path / "thp")
    (found,) = probe.folio_sizes()
    assert "has none: the kernel is built without THP" in found.reason
    folder = tmp_path / "thp" / "hugepages-64kB"
    folder.mkdir(parents=True)
    (folder / "enabled").write_text("always inherit madvise [never]")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(settings, "RUN", tmp_path / "file")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (found,) = probe.folio_sizes()
    assert found.reason.startswith("not tried: ")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert probe.folio_sizes() == [Capability("folios of 64 KiB", False, "set to never, and changing that takes root")]


@linux
def test_swap_and_cpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host, "PROC", tmp_path)
    assert probe.capability("swap") == Capability("swap", False, "No such file or directory")
    (tmp_path / "swaps").write_text("Filename Type Size Used Priority\n")
    assert probe.capability("swap").reason == "no swap is active, so nothing can be paged out"
    (tmp_path / "swaps").write_text("Filename Type Size Used Priority\n/dev/vdb partition 1 0 -2\n")
    assert probe.capability("swap") == Capability("swap", True, "/dev/vdb")
    monkeypatch.setattr(host, "cores", lambda: 1)
    assert not probe.capability("CPUs").available


@linux
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="giving up root takes root")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv (util-linux)")
def test_without_root_what_takes_root_says_so() -> None:
    code = (
        "import json; from foliolab.framework.kernel import probe;"
        "print(json.dumps([vars(one) for one in probe.probe()]))"
    )
    done = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", "--clear-groups", sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"another user cannot run this Python: {done.stderr.splitlines()[-1]}")
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert "user id 65534" in found["root"]["reason"]
    assert "cannot be written: Permission denied" in found["THP settings"]["reason"]
    assert "CAP_SYS_ADMIN" in found["PFNs"]["reason"]
    assert "PFNs cannot be read" in found["kpagecount"]["reason"]
    for name in ("bit 56", "vmstat", "pidfd"):
        assert found[name]["available"], found[name]


@pytest.mark.parametrize(
    ("text", "found"), [("0\n", (0,)), ("0-1\n", (0, 1)), ("0,2-3", (0, 2, 3)), ("", ()), ("no such file", ())]
)
def test_numa_nodes(text: str, found: tuple[int, ...]) -> None:
    assert nodes.parse(text) == found

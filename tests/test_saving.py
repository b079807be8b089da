"""Results are written after every case; a complete one is never replaced by a poorer one."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import ExitCode, NotWritten
from foliolab.framework.results import provenance
from foliolab.framework.results.result import Cell, Config, Result
from foliolab.framework.results.saving import Saving, is_complete
from foliolab.framework.testing.verdict import Files
from foliolab.framework.verify.verifier import Verdicts


def verdicts(command: str, complete: bool) -> Verdicts:
    return Verdicts(verifications=[], command=command, complete=complete)


def command_in(path: Path) -> str:
    return Verdicts.load(path).command


def test_a_result_is_there_after_every_case_and_whole_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    saving = Saving(path, share=1e9)
    for case in ("one", "two"):
        saving.partial(lambda: verdicts(case, False))  # noqa: B023
        assert command_in(path) == case and not is_complete(path)
    assert saving.final(verdicts("three", True).save, True) == ""
    assert command_in(path) == "three" and is_complete(path)
    assert list(tmp_path.iterdir()) == [path]


def test_cases_that_end_soon_are_written_together(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    saving = Saving(path, share=1e-9)
    saving.partial(lambda: verdicts("one", False))
    saving.partial(lambda: pytest.fail("written again at once"))
    assert command_in(path) == "one"


def test_a_complete_file_stays_until_there_is_a_complete_one(tmp_path: Path) -> None:
    path, beside = tmp_path / "v.json", tmp_path / "v.partial.json"
    verdicts("old", True).save(path)
    saving = Saving(path)
    saving.partial(lambda: verdicts("new", False))
    assert (command_in(path), command_in(beside)) == ("old", "new")
    told = saving.final(verdicts("stopped", False).save, False)
    assert str(beside) in told and "as it was before" in told
    assert (command_in(path), command_in(beside)) == ("old", "stopped")
    Saving(path).final(verdicts("whole", True).save, True)
    assert command_in(path) == "whole" and not beside.exists()


def test_an_incomplete_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    for old in (verdicts("old", False).save, lambda path: path.write_text('{"compl'), lambda path: path.write_text("")):
        old(path)
        assert Saving(path).final(verdicts("new", False).save, False) == ""
        assert command_in(path) == "new"


def test_what_cannot_be_written_is_raised_at_the_end_only(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    saving = Saving(folder / "v.json")
    folder.rmdir()
    saving.partial(lambda: verdicts("one", False))
    saving.final(verdicts("one", True).save, True)
    with pytest.raises(NotWritten, match="No such file or directory") as found:
        saving.check()
    assert found.value.exit_code == ExitCode.COMPARISON_FAILED
    saving = Saving(Path("/dev/full"))
    saving.partial(lambda: pytest.fail("a device takes one result only"))
    saving.final(verdicts("one", True).save, True)
    with pytest.raises(NotWritten, match="No space left"):
        saving.check()


def test_a_file_keeps_its_permissions_and_new_ones_follow_the_umask(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / ("n" * 255)
    old.write_text("")
    old.chmod(0o640)
    before = os.umask(0o027)
    try:
        for path in (old, new):
            write_atomically(path, b"text")
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_a_killed_writers_file_is_removed_by_the_next_one(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (tmp_path / f".r.json.{pid}-abcd.tmp").write_text("half")
    (tmp_path / f".other.json.{dead.pid}-abcd.tmp").write_text("half")
    write_atomically(tmp_path / "r.json", b"{}")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"r.json", f".r.json.{os.getpid()}-abcd.tmp", f".other.json.{dead.pid}-abcd.tmp"}


def test_no_name_is_too_odd(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe4\xf6.json"))
    Saving(path).final(verdicts(f"foliolab verify --json {path}", True).save, True)
    assert json.loads(path.read_bytes())["command"].isprintable() and is_complete(path)


def result(workload: str) -> Result:
    config = Config(policies=["a"], policy_parameters={"a": {}}, baseline="a", workloads=[workload], sizes=[64],
                    memory=1 << 20, repeats=1, seed=1, quick=False)  # fmt: skip
    cell = Cell(workload=workload, size_kib=64, policy="a", samples=[1.0])
    return Result(complete=True, command="", **provenance.origin(provenance.now()), config=config, cells=[cell])


def test_pytests_report_is_written_after_every_test(tmp_path: Path) -> None:
    found = [result(name) for name in ("munmap", "fork")]
    files = Files(tmp_path / "out")
    files.partial([msgspec.json.encode(found[0]).decode()])
    path = tmp_path / "out" / "seed1.json"
    assert not is_complete(path) and len(Result.load(path).cells) == 1
    assert files.final(found, True) == [path, path.with_suffix(".csv")]
    assert is_complete(path) and len(Result.load(path).cells) == 2
    beside = tmp_path / "out" / "seed1.partial.json"
    assert Files(tmp_path / "out").final(found[:1], False) == [beside, beside.with_suffix(".csv")]
    assert is_complete(path) and not is_complete(beside)

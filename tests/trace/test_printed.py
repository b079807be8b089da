"""The scripts that `foliolab record --print` prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.kernel.recording import printed, snapshots
from foliolab.framework.trace import importers
from foliolab.framework.trace.file import Trace

PAGE = 70
"""Lines that fit on a page."""


@pytest.mark.parametrize("way", printed.WAYS)
def test_a_script_is_complete_and_fits_on_a_page(way: str, tmp_path: Path) -> None:
    text = printed.script(way)
    assert len(text.splitlines()) <= PAGE
    assert not [word for word in ("@EVENTS@", "@FIELDS@", "@MAGIC@", "@PROGRAM@", "@OPTIONS@") if word in text]
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_an_unknown_script_is_refused() -> None:
    with pytest.raises(UsageError, match="no script for 'ftrace'"):
        printed.script("ftrace")


def test_what_the_script_of_strace_writes_is_imported(tmp_path: Path) -> None:
    if not shutil.which("strace") or subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("strace is not installed, or may not trace here")
    (tmp_path / "script").write_text(printed.script("strace"))
    subprocess.run(["sh", "script", "sh", "-c", "true & wait"], cwd=tmp_path, check=True)
    importers.convert(tmp_path / "foliolab.strace.txt", tmp_path / "t")
    assert len(Trace(tmp_path / "t").header.mms) >= 2


def test_the_script_of_snapshots_turns_from_file_to_file(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(printed.script("snapshots"))
    environment = {**os.environ, "OUT": "out", "BYTES": "1", "FILES": "3"}
    with subprocess.Popen(["sleep", "600"]) as program:
        for who in (str(program.pid), "no-such-name"):  # started again, it goes on behind what is there
            done = subprocess.run(
                ["sh", "script", "0", "2", who],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            assert ("none of these runs: no-such-name" in done.stderr) == (who == "no-such-name")
        program.kill()
    numbers = sorted(int(path.name.split(".")[1]) - 1_000_000 for path in tmp_path.glob("out.*.jsonl*"))
    assert numbers == [4, 5, 6]  # the first were removed, each run begins one, and each snapshot filled one
    newest = (tmp_path / "out.1000006.jsonl").read_text().split()
    assert [sorted(json.loads(line)) for line in newest] == [["boot", "foliolab", "version"]]


PROGRAM = """\
import mmap, os, sys
area = mmap.mmap(-1, 1 << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.write(b"x" * (1 << 21))
print(os.fork(), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_the_script_of_snapshots_sees_what_the_recorder_sees(tmp_path: Path) -> None:
    try:
        if not snapshots.take([os.getpid()]).processes:
            pytest.skip("the frames of processes cannot be seen here")
    except KernelError as fault:
        pytest.skip(str(fault))
    (tmp_path / "script").write_text(printed.script("snapshots"))
    command = [sys.executable, "-I", "-S", "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdin
        pids = sorted([process.pid, max(int(process.stdout.readline()) for _ in range(2))])
        done = subprocess.run(
            ["sh", "script", "0", "1", str(process.pid)], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        expected = snapshots.take(pids)
        process.stdin.close()
    found = {one["pid"]: one for one in json.loads(done.stdout.splitlines()[-1])["processes"]}
    assert sorted(found) == pids
    for one in expected.processes:
        pages = {(page + i, pfn + i) for page, nr, pfn, _ in found[one.pid]["runs"] for i in range(nr)}
        same = pages & set(zip(one.page.tolist(), one.pfn.tolist(), strict=True))
        assert len(same) > 0.9 * len(one.page)  # the kernel may move a page meanwhile
        assert (found[one.pid]["parent"], found[one.pid]["start"]) == (one.parent, one.start)
    (tmp_path / "text").write_text(done.stdout)
    assert importers.convert(tmp_path / "text", tmp_path / "t").source == "snapshots"

"""The API's types: mypy accepts a plugin that is right without an exemption, and finds what is wrong in another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = """
from collections.abc import Iterator
from dataclasses import replace

from foliolab.framework.api import (
    MM, Folio, Machine, Page, Processes, Setting, SharingPattern, Timed, TraceReader, TraceSource, Usage, Workload,
    atomic_read, load, trace_records,
)
from foliolab.policies import mm_id

def can_reuse(folio: Folio, page: Page, mm: MM) -> bool:
    return atomic_read(folio._declared_by_the_policy[2]) == load(mm.mm_id)

def field_as_a_number(folio: Folio, page: Page, mm: MM) -> bool:
    return folio._mapcount > 1  # wrong

def too_few_arguments(folio: Folio) -> bool:
    return True

def prepare(machine: Machine, setting: Setting) -> Timed:
    machine.create(0)
    return machine.bind("unmap", 0, 0, setting.nr_pages)

def play(processes: Processes, usage: Usage) -> None:
    processes.exit(processes.fork(processes.start()))

def read(source: TraceSource) -> Iterator[trace_records.Record]:
    for line in source:
        yield trace_records.Fault(0, 0, 1, 1, len(line), 7, False)

WORKLOAD = Workload(name="w", summary="s", prepare=prepare)
OTHER = Workload(name="o", summary="s", prepare=play)  # wrong
PATTERN = SharingPattern(name="p", summary="s", play=play)
READER = TraceReader("r", "s", lambda head: True, read)
GOOD = replace(mm_id.POLICY, hooks=replace(mm_id.POLICY.hooks, can_reuse=can_reuse))
BAD = replace(mm_id.POLICY, hooks=replace(mm_id.POLICY.hooks, can_reuse=too_few_arguments))  # wrong
"""


@pytest.mark.slow
def test_mypy_finds_what_is_wrong_and_no_more(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "plugin.py").write_text(TEXT)
    command = [sys.executable, "-m", "mypy", "--strict", f"--config-file={ROOT / 'pyproject.toml'}", "plugin.py"]
    found = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"MYPYPATH": str(ROOT / ".src")}
    )
    lines = [int(line.split(":")[1]) for line in found.stdout.splitlines() if line.startswith("plugin.py")]
    wrong = [number for number, line in enumerate(TEXT.splitlines(), 1) if line.endswith("# wrong")]
    assert sorted(set(lines)) == wrong, found.stdout + found.stderr

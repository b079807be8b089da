"""A policy that raises, loops, crashes or writes what is not its own fails alone, by name, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from foliolab.framework.results.result import Result
from foliolab.framework.run.request import RunRequest
from foliolab.framework.run.supervise import compare_run

PATIENCE = 8.0
"""Seconds for each step: beside other load, the sound policy still does all of its steps in time."""
HEAD = """
from foliolab.framework.api import *
from foliolab.framework.api import Hooks, Policy, Stored
from foliolab.policies import page_mapcount as base

FIELDS = (
    Stored("_large_mapcount", "i32", page=1, offset=16, init=-1),
    Stored("_small", "u8", page=1, offset=40, init=0),
    Stored("_calls", "i64", per="mm", offset=0),
)

def new_anon(folio, page, nr, mm):
    atomic_set(folio._large_mapcount, nr - 1)
    store(mm._calls, load(mm._calls) + 1)

def add_ptes(folio, page, nr, mm):
    return 0

def dup_ptes(folio, page, nr, mm):
    atomic_add(nr, folio._large_mapcount)

def maybe_mapped_shared(folio):
    return True
"""
TAIL = """
POLICY = Policy(
    name="faulty", summary="a policy with a fault", references=(), fields=FIELDS, layout="6.14",
    hooks=Hooks(new_anon=new_anon, add_ptes=add_ptes, dup_ptes=dup_ptes, remove_ptes=remove_ptes,
                maybe_mapped_shared=maybe_mapped_shared),
)
"""
RAISES = """
def remove_ptes(folio, page, nr, mm):
    assert nr < 0, "not today"
    return 0, False
"""
LOOPS = """
def remove_ptes(folio, page, nr, mm):
    while READ_ONCE(folio._large_mapcount) > -100:
        cpu_relax()
    return 0, False
"""
STEALS = """
def remove_ptes(folio, page, nr, mm):
    atomic_sub(nr, folio._refcount)
    return 0, False
"""
OVERRUNS = """
def remove_ptes(folio, page, nr, mm):
    atomic_sub(nr, as_folio(nth_page(as_page(folio), 1 << 4))._large_mapcount)
    return 0, False
"""
OVERFLOWS = """
def remove_ptes(folio, page, nr, mm):
    store(folio._small, 256)
    return 0, False
"""
CRASHES = """
def remove_ptes(folio, page, nr, mm):
    atomic_sub(nr, folio._large_mapcount)
    if load(mm._calls) > 1000:
        return READ_ONCE(as_folio(nth_page(page, 1 << 50))._large_mapcount), False
    return 0, False
"""
HANGS = """
def remove_ptes(folio, page, nr, mm):
    atomic_sub(nr, folio._large_mapcount)
    while load(mm._calls) > 1000:
        cpu_relax()
    return 0, False
"""
NOT_NATIVE = """
def remove_ptes(folio, page, nr, mm):
    atomic_sub(nr, folio._large_mapcount)
    both = 0 if nr > 0 else (0, 0)
    return 0 if both == 0 else 1, False
"""


def run(tmp_path: Path, body: str, **options: float) -> tuple[Result, Path]:
    plugin = tmp_path / "faulty.py"
    plugin.write_text(HEAD + body + TAIL)
    request = RunRequest(
        policies=("page-mapcount", "faulty"),
        baseline="page-mapcount",
        workloads=("munmap",),
        orders=(4,),
        memory=128 << 20,
        repeats=3,
        plugins=(str(plugin),),
        **options,  # type: ignore[arg-type]
    )
    return compare_run(request), plugin


def line_of(plugin: Path, text: str) -> int:
    lines = plugin.read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if text in line)


@pytest.mark.parametrize(
    ("body", "says", "culprit"),
    [
        (RAISES, "AssertionError: not today", "assert nr"),
        (STEALS, "uses folio._refcount, which is not a field of the policy", "folio._refcount"),
        (OVERRUNS, "writes folio._large_mapcount, outside the folio it was given", "1 << 4"),
        (OVERFLOWS, "folio._small: 256 does not fit u8", "store(folio._small"),
        (NOT_NATIVE, "cannot be compiled", "both ="),
    ],
)
def test_a_faulty_policy_fails_alone_with_its_file_and_line(tmp_path: Path, body: str, says: str, culprit: str) -> None:
    result, plugin = run(tmp_path, body)
    (failure,) = result.failures
    assert failure.policy == "faulty"
    assert says in failure.message
    assert f"{plugin}:{line_of(plugin, culprit)}" in failure.message
    assert_others_measured(result)


def test_an_endless_policy_is_stopped_with_its_file_and_line(tmp_path: Path) -> None:
    patience = 6.0  # nothing is compiled before it loops
    result, plugin = run(tmp_path, LOOPS, patience=patience)
    (failure,) = result.failures
    assert f"did not end within {patience:g} s" in failure.message
    assert any(f"{plugin}:{line}" in failure.message for line in loop_lines(plugin))
    assert_others_measured(result)


def loop_lines(plugin: Path) -> range:
    start = line_of(plugin, "while READ_ONCE")
    return range(start, start + 2)


@pytest.mark.parametrize(
    ("body", "says"), [(CRASHES, "ended with signal SIGSEGV"), (HANGS, f"did not end within {PATIENCE:g} s")]
)
def test_native_code_that_crashes_or_hangs_takes_only_its_policy_with_it(tmp_path: Path, body: str, says: str) -> None:
    result, _ = run(tmp_path, body, patience=PATIENCE)
    (failure,) = result.failures
    assert failure.policy == "faulty"
    assert says in failure.message
    assert failure.workload == "munmap"
    assert_others_measured(result)


def assert_others_measured(result: Result) -> None:
    (good,) = [c for c in result.cells if c.policy == "page-mapcount"]
    (bad,) = [c for c in result.cells if c.policy == "faulty"]
    assert good.status == "measured"
    assert len(good.samples) == 3
    assert bad.status == "failed"
    assert bad.reason

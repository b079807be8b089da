"""CONTRIBUTING's recipe for a new primitive, followed on a copy of the source."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIECE = re.compile(r"^ *```add (\S+) before ([^\n]+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
PIECES = PIECE.findall((ROOT / "CONTRIBUTING.md").read_text())
"""(file, beginning of the line before which the piece goes, piece) of each step."""
POLICY = """
from dataclasses import replace

from foliolab.framework.api import atomic_fetch_sub, bit_spin_lock, bit_spin_unlock, load
from foliolab.policies import mm_id


def unlocked(folio, nr, mm):
    total = atomic_fetch_sub(nr, folio._large_mapcount) - nr
    mm_id.sub_from_slots(folio, nr, load(mm.mm_id), total)
    return total + 1


def locked(folio, nr, mm):
    bit_spin_lock(mm_id.LOCK_BIT, folio._mm_ids)
    total = unlocked(folio, nr, mm) - 1
    bit_spin_unlock(mm_id.LOCK_BIT, folio._mm_ids)
    return total + 1


def miscounted(folio, nr, mm):
    bit_spin_lock(mm_id.LOCK_BIT, folio._mm_ids)
    total = atomic_fetch_sub(nr + 1, folio._large_mapcount) - nr - 1
    mm_id.sub_from_slots(folio, nr, load(mm.mm_id), total)
    bit_spin_unlock(mm_id.LOCK_BIT, folio._mm_ids)
    return total + 1


UNLOCKED, LOCKED, MISCOUNTED = (
    replace(mm_id.POLICY, name=f.__name__, models=None, mutants=None, replace=((mm_id.sub_large_mapcount, f),))
    for f in (unlocked, locked, miscounted)
)
"""
OPERATION = """
from foliolab.framework.api import atomic_fetch_sub, pte_at
from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.layout import CTYPES, Field, Layouts, Struct
from foliolab.framework.machine.memory import Memory, allocate
from foliolab.framework.machine.native import Library
from foliolab.framework.machine.primitives import ATOMIC_RMW, PRIMITIVES

def run(vm, by):
    return 100 * atomic_fetch_sub(by, pte_at(vm, 0).pte) + atomic_fetch_sub(1, pte_at(vm, 0).pte)

layouts = Layouts((Struct("pte", 64, (Field("pte", "u64", 0),)),))
vm = Memory(allocate(4096), layouts)
interpreted = run(vm, 7), vm.view(CTYPES["u64"])[0]
vm.view(CTYPES["u64"])[0] = 0
native = Library(CallTree([run], PRIMITIVES, {}, {}), layouts).get(run, "mi")(vm.addr, 7), vm.view(CTYPES["u64"])[0]
assert interpreted == native == (-7, -8), (interpreted, native)
assert "atomic_fetch_sub" in ATOMIC_RMW
"""
ATTACKS = """
import time
time.monotonic = time.process_time  # budgets are of processor time: a busy host changes no verdict
import threading
from foliolab.framework.verify import attacks
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.finding import Finding
import mine

def findings(name, scheme, seconds):
    stop = threading.Event()  # at the first refutation
    (attack,) = attacks.chosen([name])
    tell = lambda news: isinstance(news, Finding) and news.claim == "" and news.verdict == "refuted" and stop.set()
    found = attack.run(scheme.with_parameters(), Budget(seconds, stop=stop), tell)
    return {finding.claim: finding for finding in sorted(found, key=lambda one: one.verdict == "refuted")}

for name, scheme in ("explored", mine.UNLOCKED), ("symbolic", mine.MISCOUNTED):
    owed = findings(name, scheme, 120.0)[""]
    assert owed.verdict == "refuted", (name, owed)
    # a slot that is stored without the lock may also store the lock bit that another thread has given back
    assert owed.counterexample.law in ("mapcount", "initial-values", "lost-lock"), (name, owed)
# how far the solver comes depends on the host's speed, but it refutes nothing
locked = findings("symbolic", mine.LOCKED, 2.0)
assert set(locked) == {"", "safe", "exact-for-two", "reuse"}, locked
for finding in locked.values():
    assert finding.verdict in ("held", "undecided"), finding
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the source, without what the recipe does not touch."""
    package = tmp_path / "src" / "foliolab"
    for room in ("framework", "policies"):
        shutil.copytree(ROOT / room, package / room)  # with the bytecode, which stays valid
    shutil.copy(ROOT / ".src" / "foliolab" / "__init__.py", package)
    (tmp_path / "src" / "mine.py").write_text(POLICY)
    return package


def follow(package: Path, without: str = "") -> None:
    """Follow the recipe, but leave out one file."""
    assert len(PIECES) == 10
    for name, before, piece in PIECES:
        if name == without:
            continue
        file = package / name
        lines = file.read_text().splitlines(keepends=True)
        (at,) = [i for i, line in enumerate(lines) if line.strip().startswith(before)]
        indent = re.match(" *", lines[at])
        assert indent is not None
        lines.insert(at, textwrap.indent(textwrap.dedent(piece), indent[0]) + "\n")
        file.write_text("".join(lines))


def python(package: Path, text: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "FOLIOLAB_CACHE": str(package.parent / "cache")}
    command = [sys.executable, "-c", text]
    return subprocess.run(command, env=environment, cwd=package.parent, capture_output=True, text=True, check=False)


def test_interpreted_and_native_agree(package: Path) -> None:
    follow(package)
    found = python(package, OPERATION)
    assert found.returncode == 0, found.stderr


def test_attacks_understand_the_primitive(package: Path) -> None:
    follow(package)
    found = python(package, ATTACKS)
    assert found.returncode == 0, found.stderr + found.stdout


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("framework/machine/lowering.py", "machine.builder"),
        ("framework/verify/explored/primitives.py", "verify.explored.primitives"),
        ("framework/verify/symbolic/primitives.py", "verify.symbolic.primitives"),
    ],
)
def test_a_file_that_was_left_out_is_named(package: Path, file: str, module: str) -> None:
    follow(package, without=file)
    found = python(package, f"import foliolab.framework.{module}")
    assert found.returncode != 0
    assert "does not know the primitive atomic_fetch_sub" in found.stderr
    assert f"add it to {file}" in found.stderr

"""Kernel trees at hand, such as Debian's packages linux-source-*, extracted: FOLIOLAB_TREES names their folders.

Their text is under GPL-2.0 and is not part of this repository: it is read where it lies, and only its translation is
kept, in the cache of the tests.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("clang.cindex", reason="libclang is missing")

sys.path.insert(0, str(Path(__file__).parent))
from accesses import accesses, differences
from compiled_benchmark import benchmark

from foliolab.framework.contract.workload import Setting
from foliolab.framework.csource import compiled
from foliolab.framework.csource.compiled import CompiledEntries
from foliolab.framework.csource.tree import Tree
from foliolab.framework.engine.engine import native_missing
from foliolab.framework.errors import CSourceError
from foliolab.framework.plugins.registry import load
from foliolab.framework.run.cases import Case
from foliolab.framework.run.count import count
from foliolab.framework.testing import alike
from foliolab.framework.verify import attacks
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.finding import Finding

TREES = [Path(one) for one in os.environ.get("FOLIOLAB_TREES", "").split(os.pathsep) if one]
ANSWERS = {
    "MM_ID=y": ("mm-id", {"safe", "exact-for-two", "page-mapcount", "partial-mapping", "pmd", "reuse"}),
    "MM_ID=y,NO_PAGE_MAPCOUNT=y": ("no-page-mapcount", {"safe", "exact-for-two", "average-mapcount", "pmd", "reuse"}),
    "MM_ID=n": ("page-mapcount", {"safe", "page-mapcount", "partial-mapping", "pmd"}),
    "": ("page-mapcount", {"page-mapcount", "partial-mapping", "pmd"}),
}
"""The shipped policy that models a configuration, and its claims; the empty one is that of trees before Linux 6.15."""

OPERATIONS = 20_000
"""Operations that each form of a tree's policy does; `tests/benchmarks/compiled_c.py` does more."""


def cases() -> list[str]:
    found = []
    for tree in TREES:
        try:
            Tree.parse(f"tree:{tree}").configuration(Tree.parse(f"tree:{tree}").files())
            found.append(f"tree:{tree}")
        except CSourceError:
            found += [f"tree:{tree}:{options}" for options in ANSWERS if options]
    return found or [pytest.param("", marks=pytest.mark.skip(reason="FOLIOLAB_TREES names no kernel tree"))]  # type: ignore[list-item]


def options_of(text: str) -> str:
    return ",".join(f"{name}={value}" for name, value in Tree.parse(text).options)


@pytest.mark.parametrize("text", cases())
def test_the_claims_are_those_of_the_configuration(text: str) -> None:
    assert load().policy(text, typed=True).capabilities == ANSWERS[options_of(text)][1]


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["explored", "random", "structural"])
@pytest.mark.parametrize("text", cases())
def test_nothing_is_refuted(text: str, attack: str, is_known: Callable[[Finding], bool]) -> None:
    (chosen,) = attacks.chosen([attack])
    found = chosen.run(load().policy(text, typed=True), Budget(6.0, 256 << 20), lambda news: None)
    assert found and not [one for one in found if one.verdict == "refuted" and not is_known(one)]


@pytest.mark.parametrize("workload", ["munmap", "fork", "cow-byte", "reuse-byte", "contention-1"])
@pytest.mark.parametrize("text", cases())
def test_the_shipped_policy_does_the_same_atomics_locks_and_cache_lines(text: str, workload: str) -> None:
    found = load()
    case = Case(found.workload(workload), Setting(4, 64, 1))
    own, shipped = (count(case, found.policy(name, typed=True), 100.0) for name in (text, ANSWERS[options_of(text)][0]))
    for what in ("atomics", "policy_atomics", "lock_sections", "cache_lines"):
        assert own[what] == shipped[what]


@pytest.mark.parametrize("pmd", [False, True], ids=["ptes", "pmds"])
@pytest.mark.parametrize("text", cases())
def test_the_shipped_policy_makes_the_same_accesses(text: str, pmd: bool) -> None:
    """Loads, stores and locked operations of each operation, on the policy's fields and MM IDs."""
    found = load()
    own, shipped = (accesses(found.policy(name, typed=True), pmd) for name in (text, ANSWERS[options_of(text)][0]))
    for one in (own, shipped):
        one["new folio"].pop(("load", "mm_id"), None)  # the kernel hands the ID to its checks, which are not counted
    assert differences(own, shipped) == {}


@pytest.mark.skipif(bool(compiled.missing() or native_missing()), reason=compiled.missing() or native_missing())
@pytest.mark.parametrize("text", cases())
def test_compiled_c_leaves_the_bytes_of_every_other_form(text: str) -> None:
    """Interpreted, translated, compiled, and the shipped policy: where its fields lie elsewhere, each field."""
    registry, forms = load(), benchmark()
    scheme = registry.policy(text, typed=True)
    entries, shipped = CompiledEntries(scheme), forms.by_hand(registry, scheme)
    assert shipped.name == ANSWERS[options_of(text)][0]
    assert alike.difference(scheme, steps=20, connect=entries.connect, other="as compiled C") == ""
    lines = [*forms.compared(scheme, [entries], shipped, OPERATIONS, 1)]
    how = "field by field" if options_of(text) == "MM_ID=n" else "all bytes"
    assert lines and all("operations alike" in line and line.endswith(f"by hand: {how}") for line in lines)

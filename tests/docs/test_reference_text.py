"""The reference as text: the file in the repository, entries by name, and a counterexample that is written by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from foliolab.framework.api import Folio
from foliolab.framework.contract import trace_records
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import UsageError
from foliolab.framework.plugins import registry
from foliolab.framework.reference import parts
from foliolab.framework.reference.hooks import ENGINE_COUNTS
from foliolab.framework.results.metrics import COUNTED
from foliolab.framework.trace.events import KINDS
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.playback import play
from foliolab.policies import mm_id

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "reference.txt").read_text("utf-8")


def never(folio: Folio) -> bool:
    """What the policy of docs/checking.md answers."""
    return False


def test_the_file_is_what_the_command_prints() -> None:
    """After a change, `foliolab reference > docs/reference.txt` makes it again."""
    assert TEXT.splitlines() == list(parts.everything())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("add_ptes", "Hooks of a policy\n  add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int"),
        ("remove_pmd", "What the engine counts itself"),
        ("primitives", "Primitives\n=========="),
        ("Workload", "needs\n      type: frozenset[str]"),
        ("Fault", "Fault(time, cpu, pid, tid, address, error, kernel)"),
        ("--compare-fail", "--compare-fail METRIC:LIMIT"),
        ("3", "nothing could be measured"),
    ],
)
def test_an_entry_by_its_name(name: str, says: str) -> None:
    assert says in "\n".join(parts.find(name))


@pytest.mark.parametrize(
    ("name", "near"),
    [("add_pte", "did you mean add_ptes"), ("atomicadd", "atomic_add"), ("qqqq", "parts are policy-hooks")],
)
def test_a_name_that_there_is_not(name: str, near: str) -> None:
    with pytest.raises(UsageError) as raised:
        list(parts.find(name))
    assert near in raised.value.hint


def test_nothing_is_left_out() -> None:
    """Records, events and metrics are found by the reference itself, out of the text of their modules."""
    kinds = [one.__name__ for one in trace_records.Record.__args__]
    for name in [*kinds, *COUNTED]:
        assert re.search(rf"^{name}\b", TEXT, re.MULTILINE), name
    events = dict(re.findall(r"^([A-Z_]+) = (\d+)$", TEXT[TEXT.index("Column kind") :], re.MULTILINE))
    assert {int(value) for value in events.values()} >= set(KINDS)


def test_the_engine_counts_new_anonymous_pages() -> None:
    """As ENGINE_COUNTS says: with new_anon, not with dup_ptes, and until remove_ptes answers them."""
    assert "new_anon" in ENGINE_COUNTS[0][0] and "NR_ANON_MAPPED" in ENGINE_COUNTS[0][1]
    for policy in registry.load().policies.values():
        machine = Machine(policy.with_parameters(), Shape(32, 2, 16, max_order=4), "interpreted")
        counts = []
        machine.create(0)
        for step in (
            lambda machine=machine: machine.populate(0, 0, 16, 4),
            lambda machine=machine: machine.fork(0, 1),
            lambda machine=machine: machine.exit(1),
            lambda machine=machine: machine.exit(0),
        ):
            step()
            counts.append(machine.statistic("NR_ANON_MAPPED"))
        assert counts == [16, 16, 16, 0], policy.name


def test_the_counterexample_of_the_page_breaks_its_law(tmp_path: Path) -> None:
    page = (DOCS / "reference-files.md").read_text("utf-8")
    (text,) = re.findall(r"^```json counterexample\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "never.json").write_text(text)
    example = Counterexample.load(tmp_path / "never.json")
    hooks = replace(mm_id.POLICY.hooks, maybe_mapped_shared=never)
    broken = replace(mm_id.POLICY, name="never-shared", hooks=hooks, models=None, mutants=None).with_parameters()
    assert [one.law for one in play(example, broken).violations] == ["safe"]
    assert not play(example, mm_id.POLICY.with_parameters()).violations

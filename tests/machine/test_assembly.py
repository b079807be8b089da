"""The machine code of the removal path: one locked instruction an atomic, and none that costs more.

LLVM turns a tested atomic into `lock xadd` or a compare-exchange loop, which would misstate the schemes that
count pages by two to three times; the flag-output forms must survive inlining and optimisation.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import Shape, engine_library, native_missing, policy_library
from foliolab.framework.engine.entrypoints import ENTRY_POINTS, zap_range
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import engine_layouts
from foliolab.framework.machine.layout import Layouts
from foliolab.framework.machine.ref import Ref
from foliolab.framework.replay.loop import replay_chunk
from foliolab.policies import mm_id, no_page_mapcount, page_mapcount

lowering = pytest.importorskip("foliolab.framework.machine.lowering", reason="numba is missing")
pytestmark = [
    pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works"),
    pytest.mark.skipif(not lowering.X86, reason="the locked instructions looked for are those of x86-64"),
]

BASE = page_mapcount.POLICY.with_parameters()
UNBATCHED = page_mapcount.POLICY.with_parameters({"batched": 0})
MM_ID = mm_id.POLICY.with_parameters()
NO_MC = no_page_mapcount.POLICY.with_parameters()


@cache
def replay_loop(layouts: Layouts) -> str:
    """The machine code of the loop of replays; policies with the same layouts share it, and it takes seconds."""
    return str(engine_library(layouts, replay_chunk, one_thread=True).assembly(replay_chunk, "mmiii"))


def locked(scheme: Any, entry: Any) -> list[str]:
    """The locked instructions of one of the policy's entries: `lock subl` is `subl`.

    A spinning thread that gives up counts that with an `incq`, which is on nobody's way.
    """
    text = policy_library(scheme).assembly(entry, calls.KINDS)
    return [i for i in re.findall(r"^\s*lock\s+(\w+)", text, re.MULTILINE) if i != "incq"]


@pytest.mark.parametrize("scheme", [BASE, UNBATCHED, MM_ID, NO_MC], ids=lambda s: s.name)
@pytest.mark.parametrize("entry", [calls.remove_ptes, calls.add_ptes, calls.dup_anon_ptes], ids=lambda e: e.__name__)
def test_no_compare_exchange_and_no_xadd_but_for_values(scheme: Any, entry: Any) -> None:
    """An add whose new value is used, not only its sign, needs an xadd: `_nr_pages_mapped`, once a batch."""
    found = locked(scheme, entry)
    assert [i for i in found if i.startswith("cmpxchg")] == []
    wants_value = scheme is not NO_MC and entry is not calls.dup_anon_ptes
    assert sum(i.startswith("xadd") for i in found) == int(wants_value)


@pytest.mark.parametrize(
    ("scheme", "entry", "wanted"),
    [
        # the large mapcount; the page's flag-setting decrement; `_nr_pages_mapped`, whose value decides
        (BASE, calls.remove_ptes, ["subl", "addl", "xaddl"]),
        (BASE, calls.add_ptes, ["addl", "xaddl", "addl"]),
        (BASE, calls.dup_file_ptes, ["incl", "addl"]),
        (MM_ID, calls.remove_ptes, ["btsq", "addl", "xaddl"]),
        (MM_ID, calls.add_ptes, ["addl", "xaddl", "btsq"]),
        (MM_ID, calls.dup_file_ptes, ["incl", "btsq"]),
        (NO_MC, calls.remove_ptes, ["btsq"]),
        (NO_MC, calls.add_ptes, ["btsq"]),
        (NO_MC, calls.dup_file_ptes, ["btsq"]),
        (NO_MC, calls.can_reuse, ["btsq"]),
    ],
    ids=lambda value: getattr(value, "__name__", None) or getattr(value, "name", None) or "-".join(value),
)
def test_locked_instructions_one_by_one(scheme: Any, entry: Any, wanted: list[str]) -> None:
    """As many in the text as the table of 1.4 has kinds; a loop over pages is one instruction, unrolled or not."""
    found = locked(scheme, entry)
    if entry is calls.can_reuse:  # also tries the folio lock and leaves the swapcache
        found = [i for i in found if i == "btsq"][-1:]
    plain = {"decl": "addl", "incl": "addl", "subl": "addl"}
    assert sorted({plain.get(i, i) for i in found}) == sorted({plain.get(i, i) for i in wanted})
    # (the retry of a contended lock is a copy of its own, and so is each branch that LLVM gives its own tail)
    assert [i for i in found if i in ("orq", "andq", "xchgq")] == [], "the bit lock is a bts, its release a store"
    assert found.count("xaddl") == wanted.count("xaddl")


def test_the_removal_loop_of_a_page_is_one_locked_instruction_and_its_flag() -> None:
    """Between the decrement and the use of its sign there is no compare: the CPU flag itself is read."""
    text = policy_library(BASE).assembly(calls.remove_ptes, calls.KINDS)
    after = re.findall(r"lock\s+addl\s+\$-1, \(%\w+\)\n(?:\s*#[^\n]*\n)*\s*(\w+)", text)
    assert after, "the per-page decrement is there"
    assert set(after) <= {"sets", "js", "jns", "setns"}, after


@pytest.mark.slow
def test_zap_clears_ptes_by_xchg_and_counts_nothing_itself() -> None:
    """The engine's own part of a zap: an exchange a PTE, the references of a batch at once, no policy atomics."""
    text = engine_library(engine_layouts(BASE), None).assembly(zap_range, ENTRY_POINTS[zap_range])
    assert re.search(r"\bxchgq\b", text)
    # references are dropped by a value (is it zero?), so an xadd is right there, and it is never in a loop over pages
    assert len(re.findall(r"lock\s+cmpxchg", text)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("scheme", [BASE, MM_ID, NO_MC], ids=lambda s: s.name)
def test_code_for_one_thread_locks_nothing(scheme: Any) -> None:
    """Neither a locked instruction nor an exchange with memory; giving up a spin is counted on nobody's way."""
    texts = [policy_library(scheme, True).assembly(entry, calls.KINDS) for entry in calls.ENTRIES]
    for text in (*texts, replay_loop(engine_layouts(scheme))):
        assert [line for line in re.findall(r"lock\s.*|xchg\w*\s.*\(.*", text) if "incq" not in line] == []


def test_one_kind_of_code_has_one_library() -> None:
    """However it is asked for: two would define the same symbols."""
    assert policy_library(BASE) is policy_library(BASE, False) is not policy_library(BASE, True)
    layouts = engine_layouts(BASE)
    assert engine_library(layouts, None) is engine_library(layouts, None, True, one_thread=False)


def test_counted_and_compiled_agree() -> None:
    """The locked instructions in the text are the read-modify-writes that the interpreted text makes."""
    m = Machine(BASE, Shape(64, 2, 64, max_order=4), "interpreted")
    m.create(0)
    m.populate(0, 0, 1 << 4, 4)
    seen: list[str] = []

    class Watch:
        def access(self, op: str, ref: Ref, old: int, new: int) -> None:
            if op.startswith("atomic_") and op not in ("atomic_read", "atomic_set"):
                seen.append(op)

    m.vm.observer = Watch()
    m.vm.policy[calls.REMOVE_PTES](m.folio(0), m.page(0), 16, m.at("mm", m.map.mms[0]))
    m.vm.observer = None
    assert seen == ["atomic_sub", *["atomic_add_negative"] * 16, "atomic_sub_return"]

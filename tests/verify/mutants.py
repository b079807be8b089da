"""Planted faults: the shipped policies with one mistake each, made by editing the text of one function.

Each is something that somebody could get wrong. `planted(fault)` is a policy like any other.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from types import FunctionType
from typing import Any

from foliolab.framework.contract.hooks import Hooks
from foliolab.framework.contract.policy import Policy
from foliolab.framework.contract.stored import Stored
from foliolab.framework.machine.calltree import called_by
from foliolab.policies import (
    exact,
    mm_id,
    mm_id_v1,
    no_page_mapcount,
    owner_vma,
    page_mapcount,
    rmap_id,
    total_mapped_pages,
    vma_pagetable,
)
from foliolab.policies.parts import page_mapcounts, reuse, whole_folio
from foliolab.policies.rmap_id import seqcount

LOCK = "bit_spin_lock(LOCK_BIT, folio._mm_ids)"
UNLOCK = "bit_spin_unlock(LOCK_BIT, folio._mm_ids)"
SMALL_RMAP_ID = replace(rmap_id.POLICY, max_order=5, capabilities=rmap_id.CLAIMS - {"exact"}, capabilities_of=None)
"""Orders for which the claims hold. The arithmetic fails for larger folios, and order 1 is not exact."""

FREE_SLOT = "set_slot_id(folio, slot, MM_ID_DUMMY)"
WITH_A_COUNTER = replace(
    mm_id.POLICY,
    fields=(
        *mm_id.COUNTERS,
        *mm_id.SLOT_FIELDS,
        Stored("_nr_frees", "u8", page=0, offset=64, init=0, transient=True, doc="for mistakes that come late"),
    ),
)


@dataclass(frozen=True)
class Fault:
    """One mistake.

    Args:
        name: what it is.
        policy: in which policy.
        function: in which function; None: in the declaration of a field.
        edits: (old text, new text) pairs, each old text standing there exactly once.
        field, ctype: for a declaration: the field, and its new type.
        laws: those that may be found broken; empty: whichever.
    """

    name: str
    policy: Policy
    function: Callable[..., Any] | None = None
    edits: tuple[tuple[str, str], ...] = ()
    field: str = ""
    ctype: str = ""
    laws: frozenset[str] = frozenset()


def edited(function: Any, edits: tuple[tuple[str, str], ...]) -> FunctionType:
    """A copy of a function with a changed text and the same line numbers."""
    lines, first = inspect.getsourcelines(function)
    text = textwrap.dedent("".join(lines))
    for old, new in edits:
        assert text.count(old) == 1, f"{function.__qualname__}: {old!r} stands there {text.count(old)} times"
        text = text.replace(old, new)
    tree = ast.parse(text)
    ast.increment_lineno(tree, first - 1)
    space = dict(function.__globals__)
    exec(compile(tree, function.__code__.co_filename, "exec"), space)
    made = space[function.__name__]
    assert isinstance(made, FunctionType)
    made.__module__ = function.__module__
    return made


def with_function(policy: Policy, function: Any, other: Any, name: str) -> Policy:
    """The policy with one function replaced, a hook or a function that hooks call."""
    given = policy.hooks.given()
    called = function in called_by(given.values(), dict(policy.replace))
    mine: dict[str, Any] = {hook: other for hook, value in given.items() if value is function}
    kept = {f.name: getattr(policy.hooks, f.name) for f in fields(policy.hooks)}
    return replace(
        policy,
        name=name,
        models=None,
        mutants=None,
        hooks=Hooks(**{**kept, **mine}),
        replace=(*policy.replace, (function, other)) if called else policy.replace,
    )


def _narrowed(policy: Policy, fault: Fault) -> Policy:
    declared: Any = policy.fields
    values = policy.with_parameters().parameters
    now: tuple[Stored, ...] = declared(values) if callable(declared) else declared
    changed = tuple(replace(one, ctype=fault.ctype) if one.name == fault.field else one for one in now)
    assert changed != now, fault.name
    return replace(policy, name=fault.name, models=None, mutants=None, fields=changed)


def planted(fault: Fault) -> Policy:
    """The policy with the mistake."""
    if fault.function is None:
        return _narrowed(fault.policy, fault)
    other = edited(fault.function, fault.edits)
    return with_function(fault.policy, fault.function, other, fault.name)


def _mm(name: str, function: Any, *edits: tuple[str, str]) -> Fault:
    return Fault(name, mm_id.POLICY, function, edits)


KINDS: dict[str, tuple[Fault, ...]] = {
    "locks": (
        _mm("add-without-the-lock", mm_id.add_large_mapcount, (LOCK, "pass"), (UNLOCK, "pass")),
        _mm("sub-without-the-lock", mm_id.sub_large_mapcount, (LOCK, "pass"), (UNLOCK, "pass")),
        _mm("add-never-unlocks", mm_id.add_large_mapcount, (UNLOCK, "pass")),
        _mm("sub-never-unlocks", mm_id.sub_large_mapcount, (UNLOCK, "pass")),
        _mm(
            "sub-unlocks-early",
            mm_id.sub_large_mapcount,
            ("atomic_set(folio._large_mapcount, total)", f"atomic_set(folio._large_mapcount, total); {UNLOCK}"),
            (f"    {UNLOCK}\n    return", "    pass\n    return"),
        ),
        _mm(
            "add-unlocks-early",
            mm_id.add_large_mapcount,
            ("atomic_set(folio._large_mapcount, total)", f"atomic_set(folio._large_mapcount, total); {UNLOCK}"),
            (f"    {UNLOCK}\n    return", "    pass\n    return"),
        ),
        _mm(
            "add-counts-before-the-lock",
            mm_id.add_large_mapcount,
            (
                f"    {LOCK}\n    total = atomic_read(folio._large_mapcount) + nr",
                f"    total = atomic_read(folio._large_mapcount) + nr\n    {LOCK}",
            ),
        ),
        _mm("reuse-keeps-the-lock", mm_id.can_reuse, (UNLOCK, "pass")),
    ),
    "flags": (
        _mm(
            "second-slot-sets-no-flag",
            mm_id.add_to_slots,
            (
                "store(folio._mm_id_mapcount[1], nr - 1)\n        __set_bit(SHARED_BIT, folio._mm_ids)",
                "store(folio._mm_id_mapcount[1], nr - 1)\n        pass",
            ),
        ),
        _mm(
            "first-slot-sets-no-flag",
            mm_id.add_to_slots,
            ("__set_bit(SHARED_BIT, folio._mm_ids)  # others map it already", "pass"),
        ),
        _mm(
            "flag-is-never-cleared",
            mm_id.sub_from_slots,
            ("__clear_bit(SHARED_BIT, folio._mm_ids)", "pass"),
        ),
        _mm(
            "flag-is-cleared-too-early",
            mm_id.sub_from_slots,
            (
                "if not left and (load(folio._mm_id_mapcount[0]) == total or load(folio._mm_id_mapcount[1]) == total):",
                "if not left:",
            ),
        ),
        _mm(
            "fork-by-pmd-is-not-tracked",
            mm_id.dup_pmd,
            ("add_large_mapcount(folio, 1, mm)", "atomic_inc(folio._large_mapcount)"),
        ),
    ),
    "slots and counts": (
        _mm(
            "wrong-slot-counts",
            mm_id.add_to_slots,
            (
                "store(folio._mm_id_mapcount[1], load(folio._mm_id_mapcount[1]) + nr)",
                "store(folio._mm_id_mapcount[0], load(folio._mm_id_mapcount[0]) + nr)",
            ),
        ),
        _mm(
            "wrong-slot-is-freed",
            mm_id.sub_from_slots,
            ("left = sub_from_slot(folio, 1, nr)", "left = sub_from_slot(folio, 0, nr)"),
        ),
        _mm(
            "slot-starts-one-too-high",
            mm_id.add_to_slots,
            ("store(folio._mm_id_mapcount[0], nr - 1)", "store(folio._mm_id_mapcount[0], nr)"),
        ),
        _mm(
            "slot-is-freed-one-too-early",
            mm_id.sub_from_slot,
            ("if load(folio._mm_id_mapcount[slot]) >= 0:", "if load(folio._mm_id_mapcount[slot]) > 0:"),
        ),
        _mm("id-of-an-empty-slot-stays", mm_id.sub_from_slot, ("set_slot_id(folio, slot, MM_ID_DUMMY)", "pass")),
        _mm("count-of-an-empty-slot-stays", mm_id.sub_from_slot, ("store(folio._mm_id_mapcount[slot], -1)", "pass")),
    ),
    "deep sequences": (
        _mm(
            "count-of-the-second-empty-slot-stays",
            mm_id.sub_from_slot,
            (
                "store(folio._mm_id_mapcount[slot], -1)",
                "store(folio._mm_id_mapcount[slot], load(folio._mm_id_mapcount[slot]) if slot else -1)",
            ),
        ),
        Fault(
            "id-stays-at-the-eighth-free",
            WITH_A_COUNTER,
            mm_id.sub_from_slot,
            (
                (
                    FREE_SLOT,
                    "store(folio._nr_frees, load(folio._nr_frees) + 1)\n"
                    "    eighth = load(folio._nr_frees) % 8 == 0\n"
                    "    set_slot_id(folio, slot, slot_id(folio, slot) if eighth else MM_ID_DUMMY)",
                ),
            ),
        ),
        Fault(
            "third-exit-clears-the-flag",
            WITH_A_COUNTER,
            mm_id.sub_from_slots,
            (
                (
                    "    if not left and",
                    "    if not left:\n"
                    "        store(folio._nr_frees, (load(folio._nr_frees) + 1) % 4)\n"
                    "    if not left and load(folio._nr_frees) == 3:\n"
                    "        __clear_bit(SHARED_BIT, folio._mm_ids)\n"
                    "    if not left and",
                ),
            ),
        ),
    ),
    "reuse": (
        _mm(
            "reuse-without-a-second-look",
            mm_id.can_reuse,
            (
                "exclusive = not test_bit(SHARED_BIT, folio._mm_ids) and only_mapped(folio)",
                "exclusive = only_mapped(folio)",
            ),
        ),
        _mm(
            "reuse-looks-at-references-once",
            mm_id.can_reuse,
            (
                "exclusive = not test_bit(SHARED_BIT, folio._mm_ids) and only_mapped(folio)",
                "exclusive = not test_bit(SHARED_BIT, folio._mm_ids)",
            ),
        ),
        _mm(
            "reuse-in-spite-of-references",
            reuse.only_mapped,
            ("== folio_ref_count(folio)", "<= folio_ref_count(folio)"),
        ),
    ),
    "narrow fields": (
        Fault("narrow-slot-counts", mm_id.POLICY, field="_mm_id_mapcount", ctype="i8"),
        Fault("narrow-large-mapcount", no_page_mapcount.POLICY, field="_large_mapcount", ctype="i8"),
        Fault("narrow-pages-mapped", page_mapcount.POLICY, field="_nr_pages_mapped", ctype="i16"),
    ),
    "page mapcounts": (
        Fault(
            "page-mapcount-without-an-atomic",
            page_mapcount.POLICY,
            page_mapcounts.dup_page,
            (("atomic_inc(page._mapcount)", "atomic_set(page._mapcount, atomic_read(page._mapcount) + 1)"),),
        ),
        Fault(
            "last-page-is-not-uncounted",
            page_mapcount.POLICY,
            page_mapcounts.remove_page_mapcounts,
            (
                (
                    "if last and atomic_sub_return(last, folio._nr_pages_mapped) >= ENTIRELY_MAPPED:",
                    "if last > 1 and atomic_sub_return(last, folio._nr_pages_mapped) >= ENTIRELY_MAPPED:",
                ),
            ),
        ),
        Fault(
            "new-folio-is-one-off",
            page_mapcount.POLICY,
            page_mapcount.new_anon,
            (("atomic_set(folio._large_mapcount, nr - 1)", "atomic_set(folio._large_mapcount, nr)"),),
        ),
        Fault(
            "partial-if-anything-went",
            page_mapcount.POLICY,
            page_mapcounts.partially_mapped,
            (("return nr != 0 and", "return nr >= 0 and"),),
        ),
        Fault(
            "mapcount-by-load-and-store",
            page_mapcount.POLICY,
            page_mapcount.add_ptes,
            (
                (
                    "atomic_add(nr, folio._large_mapcount)",
                    "atomic_set(folio._large_mapcount, atomic_read(folio._large_mapcount) + nr)",
                ),
            ),
        ),
    ),
    "averages": (
        Fault(
            "entire-mapcount-stays",
            no_page_mapcount.POLICY,
            no_page_mapcount.remove_pmd,
            (
                (
                    "last = atomic_add_negative(-1, folio._entire_mapcount)",
                    "last = atomic_add_negative(0, folio._entire_mapcount)",
                ),
            ),
        ),
        Fault(
            "statistic-counts-every-mapping",
            no_page_mapcount.POLICY,
            whole_folio.pages_if_first,
            (("if now == nr else 0", "if now >= nr else 0"),),
        ),
        Fault(
            "average-rounds-up",
            total_mapped_pages.POLICY,
            total_mapped_pages.page_mapcount,
            (("(total + pages // 2) // pages", "(total + pages - 1) // pages"),),
        ),
        Fault(
            "pmd-counts-511",
            total_mapped_pages.POLICY,
            total_mapped_pages.remove_pmd,
            (("sub_counts(folio, 1, PMD_PAGES, mm)", "sub_counts(folio, 1, PMD_PAGES - 1, mm)"),),
        ),
    ),
    "other owners": (
        Fault(
            "others-are-forgotten",
            owner_vma.POLICY,
            owner_vma.count_owner,
            (
                (
                    "store(folio._nr_other_mappings, load(folio._nr_other_mappings) + nr)",
                    "store(folio._nr_other_mappings, nr)",
                ),
            ),
        ),
        Fault(
            "owner-leaves-with-others-there",
            owner_vma.POLICY,
            owner_vma.count_owner,
            (("if total < 0:", "if total < 1:"),),
        ),
        Fault("owners-never-leave", exact.POLICY, exact.count_owner, (("elif after == 0:", "elif after < 0:"),)),
        Fault(
            "exact-without-the-lock",
            exact.POLICY,
            exact.add_large_mapcount,
            (
                ("bit_spin_lock(LOCK_BIT, folio._owner_lock)", "pass"),
                ("bit_spin_unlock(LOCK_BIT, folio._owner_lock)", "pass"),
            ),
        ),
        Fault(
            "v1-forgets-to-clear-exclusive",
            mm_id_v1.POLICY,
            mm_id_v1.add_to_slots,
            (
                (
                    "            store(folio._mm1_mapcount, nr - 1)\n        __clear_bit(EXCLUSIVE_BIT, folio._mm_ids)",
                    "            store(folio._mm1_mapcount, nr - 1)\n        pass",
                ),
            ),
        ),
        Fault(
            "pairs-are-looked-at-too-early",
            vma_pagetable.POLICY,
            vma_pagetable.can_reuse,
            (
                (
                    "return only_mapped(folio) and not maybe_mapped_shared(folio) and only_mapped(folio)",
                    "return not maybe_mapped_shared(folio) and only_mapped(folio)",
                ),
            ),
        ),
    ),
    # seen only by a reader between two writers of whom one found the other at work
    "readers": (
        Fault(
            "sequence-does-not-move",
            SMALL_RMAP_ID,
            seqcount.write_end,
            (
                (
                    "atomic_add_return(SEQUENCE_STEP[form] - SHARED_WRITER, seqcount)",
                    "atomic_add_return(-SHARED_WRITER, seqcount)",
                ),
            ),
        ),
    ),
}
"""Mistakes in policies whose claims hold without them, by their kind."""

FAULTS: tuple[Fault, ...] = tuple(fault for faults in KINDS.values() for fault in faults)

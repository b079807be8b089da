"""Orders of steps: specification 1.8, seen by an observer, one access after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.machine.ref import Ref
from foliolab.policies import exact, mm_id, mm_id_v1, no_page_mapcount, page_mapcount

SCHEMES = [
    page_mapcount.POLICY.with_parameters(),
    mm_id.POLICY.with_parameters(),
    mm_id_v1.POLICY.with_parameters(),
    no_page_mapcount.POLICY.with_parameters(),
    exact.POLICY.with_parameters(),
]
P = 16
PMD = 512
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)


def machine(scheme: Any) -> Machine:
    m = Machine(scheme, Shape(2048, 3, 1024, contents=True), "interpreted")
    m.create(0)
    return m


class Tape:
    """Changes of one machine in words: (what, frame or MM, by how much)."""

    def __init__(self, m: Machine) -> None:
        self.m = m
        self.steps: list[tuple[str, int, int]] = []
        self.hooks: list[Callable[[], None]] = []

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        name = ref.field.name
        if old == new and op not in ("WRITE_ONCE", "set_bit"):
            return
        stride = self.m.layouts["page"].size
        if name == "_large_mapcount":  # in the first tail page
            self.steps.append((name, ref.off // stride - 1, new - old))
        elif name in ("_refcount", "_mapcount"):
            self.steps.append((name, ref.off // stride, new - old))
        elif name == "flags" and ref.owner in ("page", "folio"):
            for bit, word in ((17, "AE"), (5, "lru"), (20, "batch")):
                if (old ^ new) >> bit & 1:
                    self.steps.append((word, ref.off // stride, 1 if new >> bit & 1 else -1))
        elif name == "pte" and ref.off >= self.m.map.pgds[0]:
            who = max(i for i, off in enumerate(self.m.map.pgds) if off <= ref.off)
            at_pmd = [i for i, off in enumerate(self.m.map.pmds) if off <= ref.off]
            if at_pmd:
                self.steps.append(("pmd", max(at_pmd), (new != 0) - (old != 0)))
            else:
                self.steps.append(("pte", who, (new != 0) - (old != 0)))

    def first(self, what: str, at: int | None = None, sign: int = 0) -> int:
        return self.places(what, at, sign)[0]

    def last(self, what: str, at: int | None = None, sign: int = 0) -> int:
        return self.places(what, at, sign)[-1]

    def places(self, what: str, at: int | None = None, sign: int = 0) -> list[int]:
        """Where in the tape such steps are; there is at least one."""
        found = [
            i
            for i, (name, place, by) in enumerate(self.steps)
            if name == what and (at is None or place == at) and (sign == 0 or by * sign > 0)
        ]
        assert found, f"no step {what} {at} in {self.steps}"
        return found

    def by(self, what: str, at: int) -> int:
        """Sum of such changes."""
        return sum(by for name, place, by in self.steps if (name, place) == (what, at))


def record(m: Machine, run: Callable[[], Any]) -> Tape:
    tape = m.vm.observer = Tape(m)
    run()
    m.vm.observer = None
    return tape


@every_scheme
def test_anon_fault(scheme: Any) -> None:
    """References so that there is one per PTE; new_anon_rmap(EXCLUSIVE); LRU; PTEs."""
    m = machine(scheme)
    tape = record(m, lambda: m.populate(0, 0, P, 4))
    assert tape.by("_refcount", 0) == P
    assert m.mapcount(0) == P
    references = tape.last("_refcount", 0)
    mapcount = tape.last("_large_mapcount", 0, 1)
    assert references < mapcount < tape.first("AE") <= tape.last("AE") < tape.first("lru", 0) < tape.first("pte", 0)
    assert len(tape.places("AE")) == len(tape.places("pte", 0, 1)) == P


@every_scheme
def test_anon_fault_into_an_lru_batch(scheme: Any) -> None:
    """The per-CPU batch holds one extra reference until it is drained."""
    m = machine(scheme)
    tape = record(m, lambda: m.populate(0, 0, P, 4, batched=True))
    assert tape.by("_refcount", 0) == P + 1
    assert tape.first("batch", 0, 1) < tape.first("pte", 0)
    tape = record(m, lambda: m.drain(3))
    assert (tape.by("_refcount", 0), tape.by("batch", 0), tape.by("lru", 0)) == (-1, -1, 1)
    assert record(m, lambda: m.drain(3)).steps == []


def test_batched_folios_of_pmd_size_hold_the_reference_too() -> None:
    m = machine(SCHEMES[1])
    m.populate(0, 0, PMD, 9, batched=True)
    assert m.folio(0)._refcount.peek() == PMD + 1


@every_scheme
def test_fork(scheme: Any) -> None:
    """n references; AE off and mapcounts up; the parent's n PTEs write-protected; n read-only PTEs in the child."""
    m = machine(scheme)
    m.populate(0, 0, P, 4)
    tape = record(m, lambda: m.fork(0, 1))
    assert tape.steps[tape.first("_refcount", 0)] == ("_refcount", 0, P), "one add for the batch"
    assert tape.first("_refcount", 0) < tape.first("AE", sign=-1) < tape.last("_large_mapcount", 0)
    assert tape.last("_large_mapcount", 0) < tape.first("pte", 0) <= tape.last("pte", 0) < tape.first("pte", 1)
    assert len(tape.places("pte", 1)) == P
    assert {int(v) >> 1 & 1 for who in (0, 1) for v in m.ptes(who)[:P]} == {0}


@every_scheme
def test_zap(scheme: Any) -> None:
    """PTEs are cleared; rmap removed; references dropped when the mmu_gather is flushed."""
    m = machine(scheme)
    m.populate(0, 0, P, 4)
    m.get_user(0)
    tape = record(m, lambda: m.unmap(0, 0, P, flush=False))
    assert tape.last("pte", 0, -1) < tape.first("_large_mapcount", 0, -1)
    assert tape.by("_large_mapcount", 0) == -P
    assert tape.by("_refcount", 0) == 0
    assert m.folio(0)._refcount.peek() == P + 1
    tape = record(m, m.flush_gather)
    assert tape.by("_refcount", 0) == -P
    assert tape.by("_large_mapcount", 0) == 0
    tape = record(m, lambda: m.put_user(0))
    assert tape.by("_refcount", 0) == -1


@every_scheme
def test_write_fault_that_copies(scheme: Any) -> None:
    """`wp_page_copy`, every step of 1.8 in its place."""
    m = machine(scheme)
    m.populate(0, 0, P, 4)
    m.fork(0, 1)
    copied = m.contents.buffer
    copied[5 * 4096 + 7] = 99
    tape = record(m, lambda: m.write(0, 5))
    new = m.frame(0, 5)
    assert new >= P
    assert copied[new * 4096 + 7] == 99, "a real copy of the page"
    order = [
        tape.first("_refcount", 0, 1),  # an extra reference on the old folio
        tape.first("_refcount", new, 1),  # allocate a small folio (and copy)
        tape.first("pte", 0, -1),  # clear the PTE
        tape.first("_mapcount", new, 1),  # new_anon_rmap
        tape.first("AE", new, 1),  # … EXCLUSIVE
        tape.first("lru", new, 1),
        tape.last("pte", 0, 1),  # set the new PTE
        tape.first("_large_mapcount", 0, -1),  # only then the old rmap goes
        *tape.places("_refcount", 0, -1),  # the mapping's reference, then the extra one
    ]
    assert order == sorted(order)
    assert len(tape.places("_refcount", 0, -1)) == 2
    assert (tape.by("_refcount", 0), tape.by("_large_mapcount", 0), tape.by("_refcount", new)) == (-1, -1, 1)
    if m.scheme.stored("page"):
        assert tape.first("_large_mapcount", 0, -1) < tape.first("_mapcount", 5, -1)


@every_scheme
def test_pmd_split(scheme: Any) -> None:
    """P - 1 references; P PTE rmaps; PTEs; then the PMD rmap goes. In between the folio has P + 1 mappings."""
    m = machine(scheme)
    m.populate(0, 0, PMD, 9, pmd=True)
    most: list[int] = []

    def watch() -> Tape:
        tape = Tape(m)
        access = tape.access

        def both(op: str, ref: Ref, old: int, new: int) -> None:
            access(op, ref, old, new)
            if ref.field.name == "_large_mapcount":
                most.append(new + 1)

        tape.access = both  # type: ignore[method-assign]
        return tape

    tape = m.vm.observer = watch()
    m.split_pmd(0, 0)
    m.vm.observer = None
    assert max(most) == PMD + 1
    assert m.mapcount(0) == PMD
    references = tape.first("_refcount", 0)
    assert tape.steps[references] == ("_refcount", 0, PMD - 1)
    assert references < tape.first("_large_mapcount", 0, 1) < tape.last("AE", PMD - 1) < tape.first("pte", 0)
    assert len(tape.places("pte", 0, 1)) == PMD
    assert tape.last("pte", 0) < tape.first("_large_mapcount", 0, -1)
    assert tape.last("pmd", 0, -1) < tape.first("_large_mapcount", 0, -1)
    assert m.folio(0)._refcount.peek() == PMD


@every_scheme
def test_swap_out_and_in(scheme: Any) -> None:
    """Each PTE: clear, share AE, remove the rmap, one by one; in again through an added rmap."""
    m = machine(scheme)
    m.populate(0, 0, P, 4)
    assert m.swap_cache(0)
    assert m.folio(0)._refcount.peek() == 2 * P
    tape = record(m, lambda: m.swap_out(0, 3))
    order = [tape.first("pte", 0, -1), tape.first("AE", 3, -1), tape.first("_large_mapcount", 0, -1)]
    assert [*order, tape.first("_refcount", 0, -1)] == sorted([*order, tape.first("_refcount", 0, -1)])
    tape = record(m, lambda: m.swap_in(0, 3))
    order = [tape.first("_refcount", 0, 1), tape.first("_large_mapcount", 0, 1), tape.first("AE", 3, 1)]
    assert [*order, tape.last("pte", 0)] == sorted([*order, tape.last("pte", 0)])
    assert m.mapcount(0) == P


@every_scheme
def test_mremap_touches_no_folio(scheme: Any) -> None:
    m = machine(scheme)
    m.populate(0, 0, P, 4)
    m.populate(0, PMD, PMD, 9, pmd=True)
    tape = record(m, lambda: m.mremap(0, 0, 64, P))
    assert {name for name, _, _ in tape.steps} == {"pte"}
    m.unmap(0, 64, P)
    tape = record(m, lambda: m.mremap(0, PMD, 0, PMD))
    assert {name for name, _, _ in tape.steps} == {"pmd"}
    assert m.frame(0, 0) == PMD


def split_free(m: Machine) -> None:
    """Whatever maps and unmaps, but for the split of a PMD, whose P + 1 mappings have P references (1.8)."""
    m.fork(0, 1)
    m.fork(0, 2)
    m.exit(1)
    m.mremap(2, 0, PMD, PMD)
    m.unmap(0, 0, PMD)


def by_ptes(m: Machine) -> None:
    m.fork(0, 1)
    m.write(1, 3)
    m.unmap(0, 0, 5)
    m.fork(0, 2)
    m.mremap(2, 5, 600, 4)
    m.exit(1)
    m.write(2, 600)
    m.write(0, 9)
    m.swap_cache(6)
    m.swap_out(0, 6)
    m.swap_in(0, 6)
    m.exit(0)
    m.unmap(2, 0, 9)


@every_scheme
@pytest.mark.parametrize(("order", "run"), [(4, by_ptes), (9, by_ptes), (9, split_free)], ids=["64k", "2m", "pmd"])
def test_every_mapping_has_its_reference_at_every_step(scheme: Any, order: int, run: Any) -> None:
    """1.2: refcount >= mapcount at all times, for whoever looks in between."""
    m = machine(scheme)
    m.populate(0, 0, 1 << order, order, pmd=run is split_free)
    short: list[str] = []

    class Watch:
        def access(self, op: str, ref: Ref, old: int, new: int) -> None:
            mappings, references = m.folio(0)._large_mapcount.peek() + 1, m.folio(0)._refcount.peek()
            if ref.off == m.folio(0)._large_mapcount.off:
                mappings = new + 1
            elif ref.off == m.folio(0)._refcount.off:
                references = new
            if mappings > references:
                short.append(f"{op} {ref!r}: {mappings} mappings, {references} references")

    m.vm.observer = Watch()
    run(m)
    m.vm.observer = None
    assert short == []

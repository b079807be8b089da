"""What a policy declares to be made for: the most mappings that a folio may have.

A machine refuses an operation that would go beyond, before it changes anything: the policy's counters need not hold
more. A swap entry counts as a mapping, because it becomes one without asking.
"""

from __future__ import annotations

import numpy as np

from foliolab.framework.engine.engine import Engine
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.engine.truth import Counts, frames_of, heads_of
from foliolab.framework.errors import BeyondDeclared


def is_limited(engine: Engine) -> bool:
    """Whether a folio of this machine can have more mappings than the policy declares."""
    return engine.scheme.policy.max_mappings < engine.shape.nr_mms * engine.shape.nr_vpns


def refuse(engine: Engine, count: int) -> None:
    """Refuse a number of mappings of one folio that is larger than the policy declares.

    Raises:
        BeyondDeclared: it is larger.
    """
    most = engine.scheme.policy.max_mappings
    if count > most:
        raise BeyondDeclared(
            f"policy {engine.scheme.name} is for at most {most:,} mappings of a folio, and this makes {count:,}",
            "use fewer mappings, or declare more in max_mappings",
        )


def refuse_growth(engine: Engine, growth: Counts) -> None:
    """Refuse so many more mappings of the large folios at each head (see `refuse`).

    Args:
        growth: by page frame of the head, shape (nr_pages,).
    """
    heads, nr_pages_of = heads_of(engine)
    total = growth.copy()
    for mm in range(engine.shape.nr_mms):
        total += _mapped(engine, heads, mm, 0, engine.shape.nr_vpns)
    refuse(engine, int(np.max(total[(growth > 0) & (nr_pages_of > 1)], initial=0)))


def mapped(engine: Engine, mm: int, start: int, nr: int) -> Counts:
    """Mappings of each folio in a range of an MM, at its head: what a fork adds."""
    return _mapped(engine, heads_of(engine)[0], mm, start, nr)


def added(engine: Engine, head: int, count: int) -> Counts:
    """`count` mappings of one folio."""
    growth = np.zeros(engine.shape.nr_pages, np.int64)
    growth[head] = count
    return growth


def split(engine: Engine, mm: int, start: int, nr: int) -> Counts:
    """What an operation adds that may split the PMDs of a range: the PTEs come before the PMD goes."""
    return _split(engine, mm, list(range(start // PTRS_PER_PTE, (start + nr - 1) // PTRS_PER_PTE + 1)))


def split_edges(engine: Engine, mm: int, start: int, nr: int) -> Counts:
    """What an operation adds that splits the PMDs which lie in a range with a part only."""
    return _split(engine, mm, sorted({at // PTRS_PER_PTE for at in (start, start + nr) if at % PTRS_PER_PTE}))


def _split(engine: Engine, mm: int, tables: list[int]) -> Counts:
    pmds = engine.pmds(mm)[tables]
    return np.bincount(frames_of(pmds[pmds != 0]), minlength=engine.shape.nr_pages).astype(np.int64) * PTRS_PER_PTE


def _mapped(engine: Engine, heads: Counts, mm: int, start: int, nr: int) -> Counts:
    ptes = engine.ptes(mm)[start : start + nr]
    pmds = engine.pmds(mm)[start // PTRS_PER_PTE : (start + nr - 1) // PTRS_PER_PTE + 1]
    frames = np.concatenate((frames_of(ptes[ptes != 0]), frames_of(pmds[pmds != 0])))
    return np.bincount(heads[frames], minlength=engine.shape.nr_pages).astype(np.int64)

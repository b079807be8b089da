"""Askers that were proposed, or came later: the list below the table of specification 2.8."""

from __future__ import annotations

from functools import partial

from foliolab.framework.api import PMD_ORDER, Answers, Asker, Moment
from foliolab.policies.askers.linux import collapse

SMALLEST, LARGEST = 2, PMD_ORDER - 1
"""Orders of folios below a PMD that khugepaged may collapse to."""


def mrelease(moment: Moment) -> Answers:
    """process_mrelease: file folios of private mappings of the process; here, every process is reaped."""
    pairs = moment.pairs
    return moment.by_answer(pairs.where(~moment.anon[pairs.head] & ~moment.vm_shared(pairs)))


def scan(moment: Moment) -> Answers:
    """A scanner of access bits asks for every present PTE of a large folio."""
    heads = moment.heads[moment.ptes.frame]
    large = moment.nr_pages_of[heads] > 1
    asked, heads = moment.ptes.where(large), heads[large]
    return Answers(~moment.called_shared[heads], moment.owners[heads] == 1, asked.mm, asked.vpn)


def _khugepaged(order: int) -> Asker:
    return Asker(
        name=f"khugepaged-{4 << order}k",
        who="khugepaged",
        when=f"for each aligned range of {1 << order} PTEs",
        exclusive=f"collapses the range into a folio of {4 << order} KiB",
        shared="leaves the range: below a PMD, not one PTE may be shared",
        source="specification 2.8, later users",
        ask=partial(collapse, order=order, max_shared=0, max_swap=0),
        of="page",
        usual=False,
    )


ASKERS = (
    *(_khugepaged(order) for order in range(SMALLEST, LARGEST + 1)),
    Asker(
        name="mrelease",
        who="process_mrelease",
        when="for each folio of a file in a private mapping of a process that is reaped",
        exclusive="does not mark the folio as accessed, so that it is evicted at once",
        shared="marks the folio as accessed, which moves it in the LRU lists",
        source="specification 2.8, later users",
        ask=mrelease,
        usual=False,
    ),
    Asker(
        name="scan",
        who="a scanner of access bits (kscand)",
        when="for each present PTE, in turn over all processes",
        exclusive="takes the PTE's access bit for that of the folio, which may be promoted",
        shared="skips the PTE",
        source="specification 2.8, later users",
        ask=scan,
        of="page",
        usual=False,
    ),
)

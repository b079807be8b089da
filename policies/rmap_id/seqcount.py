"""The atomic seqcount of the precise scheme: readers retry, writers do not exclude each other.

One 64-bit word counts the writers in its low bits and their completed sections above. Many writers may be
in at a time (shared); they must use atomics on what they change. A lone writer may be exclusive, use plain
loads and stores, and everybody else waits for it. Three forms of the word follow each other in the series:

SHARED_ONLY   patch 6: every writer is shared; 16 bits of writers, 48 of sequence.
CMPXCHG       patch 16: one bit more for the exclusive writer, taken by compare-exchange.
ADD_RETURN    patch 18: a 16-bit field counts the attempts to be exclusive, add-and-return instead of
              compare-exchange; who finds that it is not alone becomes a shared writer.

Source: specification 4.5; series 20231124132626.235350-1-david@redhat.com, patches 6, 16 and 18. Preemption,
which the kernel disables for the length of a section, is not modelled.
"""

from __future__ import annotations

from foliolab.framework.api import (
    Bits,
    Ref,
    atomic_add,
    atomic_add_return,
    atomic_read,
    cmpxchg,
    cpu_relax,
    smp_rmb,
    spin_wait_clear,
)

SHARED_ONLY = 0
CMPXCHG = 1
ADD_RETURN = 2

SHARED_WRITER = 0x1
EXCLUSIVE_WRITER = 0x10000
SHARED_BIT = 0
EXCLUSIVE_BIT = 16
# by form
EXCLUSIVE_WRITERS_MASK = (0x0, 0x10000, 0xFFFF0000)
WRITERS_MASK = (0xFFFF, 0x1FFFF, 0xFFFFFFFF)
SEQUENCE_STEP = (0x10000, 0x20000, 0x100000000)

BITS = (
    (Bits("shared writers", 0, 16), Bits("sequence", 16, 48)),
    (Bits("shared writers", 0, 16), Bits("exclusive writer", 16), Bits("sequence", 17, 47)),
    (Bits("shared writers", 0, 16), Bits("exclusive writers", 16, 16), Bits("sequence", 32, 32)),
)
"""The word's parts, for pictures, by form."""


def _wait(seqcount: Ref, mask: int) -> None:
    """Wait until no writer of the mask is in a section.

    `spin_wait_clear` waits for the bit that a lone writer sets: the interpreter bounds that wait, so that a writer
    which never leaves is reported as a deadlock.
    """
    while atomic_read(seqcount) & mask:
        if mask & SHARED_WRITER:
            spin_wait_clear(SHARED_BIT, seqcount)
        if mask & EXCLUSIVE_WRITER:
            spin_wait_clear(EXCLUSIVE_BIT, seqcount)
        cpu_relax()


def read_sequence(seqcount: Ref) -> int:
    """The word, which may contain active writers: test it with `is_written`."""
    start = atomic_read(seqcount)
    smp_rmb()
    return start


def is_written(start: int, form: int) -> bool:
    """Whether the word that was read has a writer in it."""
    return start & WRITERS_MASK[form] != 0


def read_begin(seqcount: Ref, form: int) -> int:
    """Start to read: the word, once it has no writer."""
    start = atomic_read(seqcount)
    while start & WRITERS_MASK[form]:
        _wait(seqcount, WRITERS_MASK[form])
        start = atomic_read(seqcount)
    smp_rmb()
    return start


def read_retry(seqcount: Ref, start: int) -> bool:
    """End of reading: whether a writer was active meanwhile, so that the reader must retry."""
    smp_rmb()
    return atomic_read(seqcount) != start


def write_begin(seqcount: Ref, form: int) -> bool:
    """Start to write; whether as the exclusive writer, which needs no atomics inside."""
    if form != SHARED_ONLY:
        found = atomic_read(seqcount)
        if found & WRITERS_MASK[form] == 0:
            if form == CMPXCHG:
                if cmpxchg(seqcount, found, found | EXCLUSIVE_WRITER) == found:
                    return True
            else:
                if atomic_add_return(EXCLUSIVE_WRITER, seqcount) & WRITERS_MASK[form] == EXCLUSIVE_WRITER:
                    return True
                atomic_add(SHARED_WRITER - EXCLUSIVE_WRITER, seqcount)
                _wait(seqcount, EXCLUSIVE_WRITERS_MASK[form])
                return False
    # fully ordered like atomic_add() with smp_mb__after_atomic(), which on x86 is the locked add alone
    if atomic_add_return(SHARED_WRITER, seqcount) & EXCLUSIVE_WRITERS_MASK[form]:
        _wait(seqcount, EXCLUSIVE_WRITERS_MASK[form])
    return False


def write_end(seqcount: Ref, form: int, exclusive: bool) -> None:
    """End of writing: one writer less, one sequence step more, in one atomic."""
    if exclusive:
        atomic_add_return(SEQUENCE_STEP[form] - EXCLUSIVE_WRITER, seqcount)
    else:
        atomic_add_return(SEQUENCE_STEP[form] - SHARED_WRITER, seqcount)

"""The locks of an MM that several threads use: mmap_lock, the page-table lock, and the sequence count of fork.

They lie behind the MM's PMDs. Bit 0 of each word stays clear, so none looks like an entry that is present. An MM that
one thread uses needs no lock, and its operations take none: see `threads`.
"""

from __future__ import annotations

from typing import Final

from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    WRITE_ONCE,
    atomic_add_return,
    atomic_sub,
    bit_spin_lock,
    clear_bit_unlock,
    load,
    pte_at,
    smp_wmb,
    spin_wait_clear,
)
from foliolab.framework.machine.ref import Ref

LOCK_NAMES: Final = ("page_table_lock", "mmap_lock", "write_protect_seq")
"""The 64-bit words behind the PMDs of an MM."""
_HELD: Final = 1
"""The bit of a lock that one thread has, of the page-table lock and of mmap_lock for writing."""
_READER: Final = 4
"""mmap_lock counts its readers from bit 2 to bit 4."""
SEQ_ODD: Final = 2
"""Set in the sequence count while a fork copies page tables."""


def _lock(vm: Memory, mm: MM, number: int) -> Ref:
    tables = (load(mm.nr_ptes) + PTRS_PER_PTE - 1) >> PMD_ORDER
    return pte_at(vm, load(mm.pmd) + 8 * (tables + number)).pte


def pte_lock(vm: Memory, mm: MM) -> None:
    """Take the page-table lock: one for all tables of the MM."""
    bit_spin_lock(_HELD, _lock(vm, mm, 0))


def pte_unlock(vm: Memory, mm: MM) -> None:
    """Release the page-table lock."""
    clear_bit_unlock(_HELD, _lock(vm, mm, 0))


def mmap_read_lock(vm: Memory, mm: MM) -> None:
    """Take mmap_lock for reading: a page fault, MADV_DONTNEED."""
    lock = _lock(vm, mm, 1)
    spin_wait_clear(_HELD, lock)
    while atomic_add_return(_READER, lock) >> _HELD & 1:  # a writer was first
        atomic_sub(_READER, lock)
        spin_wait_clear(_HELD, lock)


def mmap_read_unlock(vm: Memory, mm: MM) -> None:
    """Release mmap_lock after reading."""
    atomic_sub(_READER, _lock(vm, mm, 1))


def mmap_write_lock(vm: Memory, mm: MM) -> None:
    """Take mmap_lock for writing: fork, mremap, mprotect."""
    lock = _lock(vm, mm, 1)
    bit_spin_lock(_HELD, lock)
    while READ_ONCE(lock) >= _READER:
        for bit in range(2, 5):
            spin_wait_clear(bit, lock)


def mmap_write_unlock(vm: Memory, mm: MM) -> None:
    """Release mmap_lock after writing."""
    clear_bit_unlock(_HELD, _lock(vm, mm, 1))


def write_protect_seq(vm: Memory, mm: MM) -> int:
    """`raw_read_seqcount`: the sequence count of fork; with SEQ_ODD while one copies page tables."""
    return READ_ONCE(_lock(vm, mm, 2))


def write_protect_begin(vm: Memory, mm: MM) -> None:
    """`raw_write_seqcount_begin`: fork begins to make PTEs read-only."""
    seq = _lock(vm, mm, 2)
    WRITE_ONCE(seq, load(seq) + SEQ_ODD)
    smp_wmb()


def write_protect_end(vm: Memory, mm: MM) -> None:
    """`raw_write_seqcount_end`."""
    seq = _lock(vm, mm, 2)
    smp_wmb()
    WRITE_ONCE(seq, load(seq) + SEQ_ODD)

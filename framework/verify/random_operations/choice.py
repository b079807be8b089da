"""Chooses operations by small numbers, such that each is possible in the present state.

The same numbers choose the same operations under every policy and in both executions. Smaller numbers choose simpler
operations, so a shrinker of numbers shrinks the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from foliolab.framework.engine.declared import is_limited
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.engine.structs import MAPPING_ANON, PG_lru_batch, PG_pagecache, PG_swapcache
from foliolab.framework.engine.truth import heads_of
from foliolab.framework.errors import BeyondDeclared
from foliolab.framework.machine.layout import PMD_ORDER

KINDS: Final = (
    "create", "populate", "populate", "fork", "fork", "exit", "unmap", "unmap", "unmap_unflushed", "flush", "write",
    "write", "write", "protect", "mremap", "pin", "unpin", "get", "put", "drain", "swap_cache", "swap_out", "swap_out",
    "swap_in", "file", "map_file", "map_file", "pmd", "pmd", "split", "map_file_pmd",
)  # fmt: skip
"""The kinds of operations. A kind that is listed twice is chosen twice as often."""

IN_PLACE: Final = ("create", "create", "fork", "exit", *("in_place",) * 12)
"""The kinds of operations on one small file. Few states are possible, so most of them are reached."""

OPERATION_OF: Final = {
    "unmap_unflushed": "unmap", "flush": "flush_gather", "get": "get_user", "put": "put_user", "file": "file_folio",
    "pmd": "populate", "split": "split_pmd", "map_file_pmd": "map_file",
}  # fmt: skip
"""The operation of each kind whose name is another."""

PMD_KINDS: Final = frozenset({"pmd", "split", "map_file_pmd"})
"""The kinds that need PMDs."""
MOST_HELD: Final = 4
"""The largest number of pins, and of references, at a time."""
MOST_FILES: Final = 3


class Chooser:
    """Chooses operations for one machine, and remembers pins and references that must be released.

    Args:
        machine: the machine that the operations run on.
        orders: of anonymous folios: 0, and 2 to the machine's largest. File folios may also have order 1.
        pmds: whether folios may be mapped by PMDs.
        ids: MM IDs for some of the MMs; the other MMs get the lowest free ID.
    """

    def __init__(
        self, machine: Machine, orders: tuple[int, ...] = (0, 2, 3, 4), pmds: bool = True, ids: tuple[int, ...] = ()
    ) -> None:
        self.machine = machine
        self.orders = orders
        self.file_orders = (*orders, 1)
        self.ids = ids
        self.vpns = machine.shape.nr_vpns
        self.pmds = pmds and self.vpns >= PTRS_PER_PTE and machine.shape.max_order >= PMD_ORDER
        self.pins: list[int] = []
        self.users: list[int] = []

    def choose(self, kind: str, a: int, b: int, c: int, d: int) -> Operation | None:
        """The operation of a kind that four numbers choose; None if no operation of that kind is possible."""
        operation = self._chosen(kind, a, b, c, d)
        if operation is not None and is_limited(self.machine):
            try:
                self.machine.bind_operation(operation)
            except BeyondDeclared:
                return None
        return operation

    def _chosen(self, kind: str, a: int, b: int, c: int, d: int) -> Operation | None:
        if kind == "create":
            return self._create(a, b)
        if kind in _WITHOUT_MM:
            return _WITHOUT_MM[kind](self, a, b, c)
        alive = [mm for mm in range(self.machine.shape.nr_mms) if self.machine.is_alive(mm)]
        return _WITH_MM[kind](self, alive[a % len(alive)], b, c, d) if alive else None

    # -- the present state -----------------------------------------------------------------------------------
    def _range(self, a: int, b: int, unit: int = 1) -> tuple[int, int]:
        start = a % (self.vpns // unit)
        return start * unit, (b % min(20, self.vpns // unit - start) + 1) * unit

    def _page(self, mm: int, n: int, want: Callable[[int, int], bool]) -> int | None:
        """The VPN of a PTE for which `want(entry, flags of its folio)` is true."""
        table, flags = self.machine.ptes(mm), self.machine.column("page", "flags")
        entries = {int(vpn): int(table[vpn]) for vpn in np.flatnonzero(table)}
        found = [vpn for vpn, entry in entries.items() if want(entry, int(flags[self._head(entry >> 12)]))]
        return found[n % len(found)] if found else None

    def _head(self, pfn: int) -> int:
        link = int(self.machine.column("page", "compound_head")[pfn])
        return link >> 1 if link & 1 else pfn

    def _anon(self, entry: int) -> bool:
        return bool(self.machine.column("page", "mapping")[self._head(entry >> 12)] == MAPPING_ANON)

    def files(self) -> list[tuple[int, int]]:
        """The folios of the page cache: (head, pages)."""
        nr_pages = heads_of(self.machine)[1]
        return [(head, int(nr_pages[head])) for head in self._flagged(PG_pagecache, nr_pages)]

    def _flagged(self, bit: int, nr_pages: np.typing.NDArray[np.int64]) -> list[int]:
        flags = self.machine.column("page", "flags")
        return [int(head) for head in np.flatnonzero((flags >> np.uint64(bit) & np.uint64(1) > 0) & (nr_pages > 0))]

    def _free_id(self, n: int) -> dict[str, int]:
        used = {self.machine.mm_id(mm) for mm in range(self.machine.shape.nr_mms)}
        free = [0, *(mm_id for mm_id in self.ids if mm_id not in used)]
        chosen = free[n % len(free)]
        return {"mm_id": chosen} if chosen else {}

    # -- MMs ---------------------------------------------------------------------------------------------
    def _create(self, a: int, b: int) -> Operation | None:
        mm = a % self.machine.shape.nr_mms
        return None if self.machine.is_alive(mm) else Operation.of("create", mm=mm, **self._free_id(b))

    def _fork(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        child = b % self.machine.shape.nr_mms
        if self.machine.is_alive(child):
            return None
        mm_id = self._free_id(d)
        if c % 4:
            return Operation.of("fork", parent=mm, child=child, **mm_id)
        start, nr = self._range(d, c, PTRS_PER_PTE if self.vpns >= PTRS_PER_PTE else 1)
        return Operation.of("fork", parent=mm, child=child, start=start, nr=nr, **mm_id)

    def _exit(self, mm: int, b: int, c: int, d: int) -> Operation:
        return Operation.of("exit", mm=mm, flush=int(b % 4 > 0))

    # -- mappings ----------------------------------------------------------------------------------------
    def _populate(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        order = self.orders[b % len(self.orders)]
        start, nr = self._range(c, d % 3, 1 << order)
        if self.machine.is_mapped(mm, start, nr):
            return None
        return Operation.of("populate", mm=mm, start=start, nr=nr, order=order, batched=int(d % 5 == 0))

    def _pmd(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        if not self.pmds:
            return None
        start, nr = self._range(b, 0, PTRS_PER_PTE)
        if self.machine.is_mapped(mm, start, nr):
            return None
        return Operation.of("populate", mm=mm, start=start, nr=nr, order=PMD_ORDER, pmd=int(c % 4 > 0))

    def _some(self, b: int, c: int, d: int) -> tuple[int, int]:
        """A range of a few pages or, in a large address space, of a few 1/32 of it."""
        return self._range(b, c, self.vpns // 32 if self.vpns >= PTRS_PER_PTE and d % 2 else 1)

    def _unmap(self, mm: int, b: int, c: int, d: int) -> Operation:
        start, nr = self._some(b, c, d)
        return Operation.of("unmap", mm=mm, start=start, nr=nr)

    def _unmap_unflushed(self, mm: int, b: int, c: int, d: int) -> Operation:
        start, nr = self._some(b, c, d)
        return Operation.of("unmap", mm=mm, start=start, nr=nr, flush=0)

    def _flush(self, a: int, b: int, c: int) -> Operation:
        return Operation("flush_gather")

    def _write(self, mm: int, b: int, c: int, d: int) -> Operation:
        start, nr = self._range(b, c % 4)
        return Operation.of("write", mm=mm, start=start, nr=nr, value=d % 256, nbytes=3)

    def _protect(self, mm: int, b: int, c: int, d: int) -> Operation:
        start, nr = self._range(b, c)
        return Operation.of("protect", mm=mm, start=start, nr=nr)

    def _split(self, mm: int, b: int, c: int, d: int) -> Operation:
        start, nr = self._range(b, c)
        return Operation.of("split_pmd", mm=mm, start=start, nr=nr)

    def _mremap(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        start, nr = self._range(b, d)
        to = c % (self.vpns - nr + 1)
        if abs(start - to) < nr or self.machine.is_mapped(mm, to, nr):
            return None
        return Operation.of("mremap", mm=mm, start=start, to=to, nr=nr)

    # -- references --------------------------------------------------------------------------------------
    def _pin(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        pfn = self.machine.frame(mm, b % self.vpns)
        if pfn < 0 or len(self.pins) >= MOST_HELD:
            return None
        self.pins.append(pfn)
        return Operation.of("pin", mm=mm, vpn=b % self.vpns)

    def _unpin(self, a: int, b: int, c: int) -> Operation | None:
        return Operation.of("unpin", pfn=self.pins.pop(a % len(self.pins))) if self.pins else None

    def _get(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        pfn = self.machine.frame(mm, b % self.vpns)
        if pfn < 0 or len(self.users) >= MOST_HELD:
            return None
        self.users.append(pfn)
        return Operation.of("get_user", pfn=pfn)

    def _put(self, a: int, b: int, c: int) -> Operation | None:
        return Operation.of("put_user", pfn=self.users.pop(a % len(self.users))) if self.users else None

    def _drain(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        pfn = self.machine.frame(mm, b % self.vpns)
        return Operation.of("drain", pfn=pfn) if pfn >= 0 else None

    # -- swap --------------------------------------------------------------------------------------------
    def _swap_cache(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        vpn = self._page(mm, b, lambda entry, _: bool(entry & 1) and self._anon(entry))
        return None if vpn is None else Operation.of("swap_cache", pfn=self.machine.frame(mm, vpn))

    def _swap_out(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        def cached(entry: int, flags: int) -> bool:
            return bool(entry & 1) and self._anon(entry) and flags >> PG_swapcache & 1 == 1

        vpn = self._page(mm, b, cached)
        return None if vpn is None else Operation.of("swap_out", mm=mm, vpn=vpn)

    def _swap_in(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        vpn = self._page(mm, b, lambda entry, _: not entry & 1)
        return None if vpn is None else Operation.of("swap_in", mm=mm, vpn=vpn)

    # -- files -------------------------------------------------------------------------------------------
    def _file(self, a: int, b: int, c: int) -> Operation | None:
        if len(self.files()) >= MOST_FILES:
            return None
        order = PMD_ORDER if self.pmds and b % 2 else self.file_orders[a % len(self.file_orders)]
        return Operation.of("file_folio", order=order, shmem=c % 2)

    def _map_file(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        files = self.files()
        if not files:
            return None
        head, pages = files[b % len(files)]
        offset = d % pages
        start, nr = self._range(c, pages - 1)
        nr = min(nr, pages - offset)
        if self.machine.is_mapped(mm, start, nr):
            return None
        flags = {"shared": int(d % 3 == 0), "write": int(d % 2 == 0)}
        return Operation.of("map_file", mm=mm, vpn=start, pfn=head + offset, nr=nr, **flags)

    def _in_place(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        """Map pages of the first file where they lie in it, or unmap them if one of them is mapped."""
        files = self.files()
        if not files:
            return self._file(b, c, d)
        head, pages = files[0]
        start = b % pages
        nr = c % (pages - start) + 1
        if self.machine.is_mapped(mm, start, nr):
            return Operation.of("unmap", mm=mm, start=start, nr=nr)
        return Operation.of("map_file", mm=mm, vpn=start, pfn=head + start, nr=nr)

    def _map_file_pmd(self, mm: int, b: int, c: int, d: int) -> Operation | None:
        huge = [head for head, pages in self.files() if pages == PTRS_PER_PTE] if self.pmds else []
        start, nr = self._range(b, 0, PTRS_PER_PTE) if huge else (0, 1)
        if not huge or self.machine.is_mapped(mm, start, nr):
            return None
        return Operation.of("map_file", mm=mm, vpn=start, pfn=huge[c % len(huge)], nr=nr, pmd=1)

    def note(self, operation: Operation) -> bool:
        """Remember what an operation of another sequence holds or releases; False if nothing holds what it releases."""
        held = self.pins if operation.name in ("pin", "unpin") else self.users
        if operation.name in ("unpin", "put_user"):
            pfn = operation.get("pfn")
            if pfn not in held:
                return False
            held.remove(pfn)
        elif operation.name == "pin":
            held.append(self.machine.frame(operation.get("mm"), operation.get("vpn")))
        elif operation.name == "get_user":
            held.append(operation.get("pfn"))
        return True

    # -- the end -----------------------------------------------------------------------------------------
    def finish(self) -> Iterator[Operation]:
        """The operations that release everything. Each must run before the next is requested.

        A folio stays in the swap cache if its last swap entry was removed while a reference was held: reclaim, which
        would free the folio, is not modelled.
        """
        while self.pins:
            yield Operation.of("unpin", pfn=self.pins.pop())
        while self.users:
            yield Operation.of("put_user", pfn=self.users.pop())
        for mm in range(self.machine.shape.nr_mms):
            if self.machine.is_alive(mm):
                yield Operation.of("exit", mm=mm)
        yield Operation("flush_gather")
        for head in self._flagged(PG_lru_batch, heads_of(self.machine)[1]):
            yield Operation.of("drain", pfn=head)
        for head, _ in self.files():
            yield Operation.of("drop_file", pfn=head)


_WITHOUT_MM: Final[dict[str, Callable[[Chooser, int, int, int], Operation | None]]] = {
    "flush": Chooser._flush, "unpin": Chooser._unpin, "put": Chooser._put, "file": Chooser._file,
}  # fmt: skip
_WITH_MM: Final[dict[str, Callable[[Chooser, int, int, int, int], Operation | None]]] = {
    "populate": Chooser._populate, "fork": Chooser._fork, "exit": Chooser._exit, "unmap": Chooser._unmap,
    "unmap_unflushed": Chooser._unmap_unflushed, "write": Chooser._write, "protect": Chooser._protect,
    "mremap": Chooser._mremap, "pin": Chooser._pin, "get": Chooser._get, "drain": Chooser._drain,
    "swap_cache": Chooser._swap_cache, "swap_out": Chooser._swap_out, "swap_in": Chooser._swap_in,
    "map_file": Chooser._map_file, "pmd": Chooser._pmd, "split": Chooser._split,
    "map_file_pmd": Chooser._map_file_pmd, "in_place": Chooser._in_place,
}  # fmt: skip

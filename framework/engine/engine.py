"""The engine: one memory, one scheme, and the operations on them, interpreted or native."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.caller import Caller
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import calls, entrypoints
from foliolab.framework.engine.callers import interpreted, unchecked_engine_tree
from foliolab.framework.engine.guard import WRITERS, guarded, unguarded
from foliolab.framework.engine.locks import LOCK_NAMES
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.engine.policytext import OWN
from foliolab.framework.engine.policytree import policy_tree, unchecked_tree
from foliolab.framework.engine.structs import CPU, PTE_SIZE, ZONE, PG_buddy, engine_layouts, layouts_of
from foliolab.framework.errors import UsageError
from foliolab.framework.machine.branches import Branches
from foliolab.framework.machine.calltree import FRAMEWORK
from foliolab.framework.machine.layout import PMD_ORDER, Layouts
from foliolab.framework.machine.memory import Memory, allocate
from foliolab.framework.machine.pointers import Folio, Page, Pointer, Zone
from foliolab.framework.machine.primitives import PAGE_SIZE
from foliolab.framework.machine.widths import checked_definition, keep_to_64_bits

Execution = Literal["interpreted", "native"]
Function = Callable[..., Any]
_ALIGN: Final = 4096


@dataclass(frozen=True)
class Shape:
    """How large the modelled machine is.

    Args:
        nr_pages: page frames.
        nr_mms: address spaces.
        nr_vpns: pages of address space of each.
        nr_cpus: CPUs, each with its own statistics and mmu_gather.
        max_order: order of the largest folio.
        contents: whether page contents are modelled (4 KiB a page frame).
        scratch: bytes of memory for a workload's own use.
    """

    nr_pages: int
    nr_mms: int
    nr_vpns: int
    nr_cpus: int = 1
    max_order: int = PMD_ORDER
    contents: bool = False
    scratch: int = 0

    def fitting(self, scheme: Scheme) -> Shape:
        """This shape with no larger folios than the policy supports."""
        most = scheme.policy.max_order
        return self if self.max_order <= most else replace(self, max_order=most)

    def nbytes(self, scheme: Scheme) -> int:
        """Bytes of memory that an engine of this shape takes, without page contents."""
        return Map(self, layouts_of(scheme)).size


class Map:
    """Where everything lies in memory: struct pages first, then zone, CPUs, MMs, IDs, page tables."""

    def __init__(self, shape: Shape, layouts: Layouts) -> None:
        def take(nbytes: int) -> int:
            start = self.size
            self.size += -(-nbytes // _ALIGN) * _ALIGN
            return start

        self.size = 0
        self.pages = take(shape.nr_pages * layouts["page"].size)
        take(layouts["folio"].size)  # struct folio of the last page reaches behind the last struct page
        self.zone = take(ZONE.size)
        self.cpus = [take(CPU.size) for _ in range(shape.nr_cpus)]
        self.mms = [take(layouts["mm"].size) for _ in range(shape.nr_mms)]
        self.ida_words = -(-(shape.nr_mms + 1) // 64)
        self.ida = take(8 * self.ida_words)
        tables = -(-shape.nr_vpns // PTRS_PER_PTE)
        self.pgds = [take(tables * PTRS_PER_PTE * PTE_SIZE) for _ in range(shape.nr_mms)]
        self.pmds = [take((tables + len(LOCK_NAMES)) * PTE_SIZE) for _ in range(shape.nr_mms)]
        self.scratch = take(shape.scratch)
        self.pins = take(8 * shape.nr_pages)


@cache
def policy_entries(scheme: Scheme, checks: bool) -> tuple[Function, ...]:
    """The policy's entries (`calls.ENTRIES`), interpreted; they write own fields only, in 64 bits.

    Args:
        checks: whether the text's own checks are run.
    """
    return _entries(scheme, checks, None)


def marked_entries(scheme: Scheme) -> tuple[tuple[Function, ...], Branches]:
    """The same with the text's own checks and a mark at each branch of the text; the entries and the branches."""
    branches = Branches(policy_tree(scheme), lambda function: not function.__module__.startswith(FRAMEWORK))
    return _entries(scheme, True, branches), branches


def _entries(scheme: Scheme, checks: bool, branches: Branches | None) -> tuple[Function, ...]:
    names = {hook: name for name, hook in scheme.policy.hooks.given().items()}

    def restrict(function: Any, twin: Any) -> Any:
        own = function.__module__.startswith(OWN)
        if not own:
            keep_to_64_bits(function, twin, checks)
        if branches is not None:
            branches.mark(function, twin, None if own else checked_definition(function, checks))
        if function in names:
            return guarded(scheme, names[function], twin)
        return unguarded(twin) if function in WRITERS else twin

    twins: dict[Any, Any] = dict((policy_tree if checks else unchecked_tree)(scheme).copies(restrict))
    return tuple(twins[entry] for entry in calls.ENTRIES)


def policy_library(scheme: Scheme, one_thread: bool = False) -> Any:
    """The native forms of the policy's entries without its own checks, a `machine.native.Library`.

    Args:
        one_thread: whether only one thread at a time runs on a machine (see `Library`).

    Raises:
        NativeBuildError: a function cannot be part of native code.
    """
    return _policy_library(scheme, one_thread)  # one entry, however the arguments are given


@cache
def _policy_library(scheme: Scheme, one_thread: bool) -> Any:
    from foliolab.framework.machine.native import Library

    return Library(unchecked_tree(scheme), layouts_of(scheme), one_thread=one_thread)


def engine_library(
    layouts: Layouts, extra: Function | None, quick: bool = True, one_thread: bool = False, caller: Caller | None = None
) -> Any:
    """The native forms of the entry points (or of a workload's own function), a `machine.native.Library`.

    Args:
        quick: whether the policies that it will call are (see `Library`).
        one_thread: whether only one thread at a time runs on a machine (see `Library`).
        caller: whose functions stand for the engine's own.
    """
    return _engine_library(layouts, extra, quick, one_thread, caller)  # one entry, however the arguments are given


@cache
def _engine_library(
    layouts: Layouts, extra: Function | None, quick: bool, one_thread: bool, caller: Caller | None
) -> Any:
    from foliolab.framework.machine.native import Library, register_table_call

    register_table_call(calls.policy_call, len(calls.KINDS))
    return Library(unchecked_engine_tree(caller, extra), layouts, quick, one_thread)


def native_missing() -> str:
    """Why native code cannot be had here; empty where it can."""
    from foliolab.framework.machine import toolchain

    reason = toolchain.missing()
    return f"{reason}; everything runs interpreted, about 1,000 times slower" if reason else ""


class Engine:
    """A modelled machine that runs one scheme.

    Args:
        scheme: the policy with its parameters.
        shape: the size of the machine.
        execution: interpreted, or native.
        contents: page contents to use, uint8, nr_pages * 4096 bytes; made anew where None and the shape asks.
        checks: whether interpreted code runs the text's own checks; native code never does.
        one_thread: whether only one thread at a time runs on this machine, and its speed is not what is measured:
            native atomics are plain instructions then, which take a fraction of the time.

    Raises:
        UsageError: the scheme does not support folios of that size.
        LayoutError: its fields do not fit.
    """

    def __init__(
        self,
        scheme: Scheme,
        shape: Shape,
        execution: Execution = "native",
        contents: NDArray[np.uint8] | None = None,
        *,
        checks: bool = True,
        one_thread: bool = False,
    ) -> None:
        if shape.max_order > scheme.policy.max_order:
            raise UsageError(
                f"policy {scheme.name} supports folios up to order {scheme.policy.max_order}, not {shape.max_order}",
                "choose smaller folios or another policy",
            )
        self.scheme = scheme
        self.shape = shape
        self.execution: Execution = execution
        self.checks = checks
        self.one_thread = one_thread
        self.layouts = layouts_of(scheme)
        self.map = Map(shape, self.layouts)
        self.vm = Memory(allocate(self.map.size), self.layouts)
        wanted = shape.nr_pages * PAGE_SIZE if shape.contents else 0
        self.contents = Memory(allocate(wanted) if contents is None else contents, self.layouts)
        self._boot()
        self._connect()

    def _connect(self) -> None:
        """Let the engine's text reach the policy's."""
        self._entry_points: dict[Function, Function] = {}
        self.vm.policy = policy_entries(self.scheme, self.checks)
        if self.execution == "native":
            library = policy_library(self.scheme, self.one_thread)
            self.vm.set_entries(library.table(calls.ENTRIES, calls.KINDS))

    # -- memory ------------------------------------------------------------------------------------
    def column(self, struct: str, field: str, element: int = 0) -> NDArray[Any]:
        """A live view of one field of every struct page (or of the folios that start there), shape (nr_pages,).

        Args:
            struct: page or folio.
            field: the field's name.
            element: of an array.
        """
        wanted = self.layouts[struct].by_name[field]
        kind = np.dtype({"i": "int", "u": "uint"}[wanted.ctype[0]] + wanted.ctype[1:])
        start = self.map.pages + wanted.offset + element * kind.itemsize
        return np.ndarray((self.shape.nr_pages,), kind, self.vm.buffer, start, (self.layouts["page"].size,))

    def ptes(self, mm: int) -> NDArray[np.uint64]:
        """The PTEs of an MM, shape (nr_vpns,)."""
        return np.ndarray((self.shape.nr_vpns,), np.uint64, self.vm.buffer, self.map.pgds[mm])

    def pmds(self, mm: int) -> NDArray[np.uint64]:
        """The PMDs of an MM, shape (nr_vpns / 512,) rounded up."""
        return np.ndarray((-(-self.shape.nr_vpns // PTRS_PER_PTE),), np.uint64, self.vm.buffer, self.map.pmds[mm])

    def pins(self) -> NDArray[np.uint64]:
        """Pins of each page by GUP-fast, which no kernel counts by the page, shape (nr_pages,)."""
        return np.ndarray((self.shape.nr_pages,), np.uint64, self.vm.buffer, self.map.pins)

    def at(self, struct: str, off: int) -> Pointer:
        """A typed pointer, for looking at single fields: `engine.at("mm", engine.map.mms[0]).mm_id.peek()`."""
        return self.vm.at(struct, off)

    def folio(self, pfn: int) -> Folio:
        """A typed pointer to the folio whose head is that frame."""
        return self.vm.at("folio", pfn * self.layouts["page"].size)

    def page(self, pfn: int) -> Page:
        """A typed pointer to a struct page."""
        return self.vm.at("page", pfn * self.layouts["page"].size)

    def field_of_mm(self, mm: int, name: str, element: int = 0) -> int:
        """The value of a field of an MM.

        Args:
            element: of an array.
        """
        ref = getattr(self.vm.at("mm", self.map.mms[mm]), name)
        value: int = (ref[element] if ref.field.count > 1 else ref).peek()
        return value

    def init_mm(self, mm: int) -> None:
        """Give the policy's fields of an MM their initial values. No observer sees that."""
        for stored in self.scheme.stored("mm"):
            ref = getattr(self.vm.at("mm", self.map.mms[mm]), stored.name)
            for element in range(stored.count) if stored.init is not None else ():
                one = ref[element] if stored.count > 1 else ref
                self.vm.view(one.ctype)[one.off // one.ctype.bytes] = stored.init

    def statistic(self, name: str) -> int:
        """A statistic summed over all CPUs (specification 1.5)."""
        return sum(int(getattr(self.vm.at("cpu", off), name).peek()) for off in self.map.cpus)

    def snapshot(self) -> NDArray[np.uint8]:
        """A copy of the whole state, without page contents."""
        return self.vm.buffer.copy()

    def restore(self, state: NDArray[np.uint8]) -> None:
        """Go back to a snapshot."""
        np.copyto(self.vm.buffer, state)

    def reset(self) -> None:
        """Start anew: every frame is free, no MM exists. Page contents stay."""
        self.vm.buffer[:] = 0
        self._boot()

    def _boot(self) -> None:
        for field in self.layouts["page"].fields:
            if field.init is not None:
                self.column("page", field.name)[:] = field.init
        self.column("page", "_mapcount")[:] = -1
        zone = self.vm.at("zone", self.map.zone)
        ida = self.vm.at("pte", self.map.ida).pte
        ida.write("boot", 1)  # ID 0 is the dummy
        for name, value in (
            ("mm_ida", self.map.ida),
            ("mm_ida_words", self.map.ida_words),
            ("max_mm_id", self.scheme.max_mm_id),
            ("has_contents", int(self.contents.size > 0)),
            ("notify_moves", int("move_pte" in self.scheme.policy.hooks.given())),
            ("nr_pages", self.shape.nr_pages),
            ("pins", self.map.pins),
        ):
            getattr(zone, name).write("boot", value)
        for who, off in enumerate(self.map.mms):
            mm = self.vm.at("mm", off)
            mm.pgd.write("boot", self.map.pgds[who])
            mm.pmd.write("boot", self.map.pmds[who])
            mm.nr_ptes.write("boot", self.shape.nr_vpns)
            mm.here.write("boot", off)
            self.init_mm(who)
        self._free_everything(zone)

    def _free_everything(self, zone: Zone) -> None:
        """Fill the free lists so that the lowest frames are handed out first."""
        top = max(self.shape.max_order, PMD_ORDER)
        zone.max_order.write("boot", top)
        zone.nr_free.write("boot", self.shape.nr_pages)
        blocks: dict[int, list[int]] = {}
        pfn = 0
        while pfn < self.shape.nr_pages:
            order = min(top, (pfn & -pfn).bit_length() - 1 if pfn else top)
            while pfn + (1 << order) > self.shape.nr_pages:
                order -= 1
            blocks.setdefault(order, []).append(pfn)
            pfn += 1 << order
        flags, private = self.column("page", "flags"), self.column("page", "private")
        after, before = self.column("page", "lru_next"), self.column("page", "lru_prev")
        for order, heads in blocks.items():
            at = np.array(heads)
            flags[at] = 1 << PG_buddy
            private[at] = order
            after[at[:-1]] = (at[1:] + 1) << 1
            before[at[1:]] = at[:-1] + 1
            zone.free_area[order].write("boot", heads[0] + 1)

    # -- running -----------------------------------------------------------------------------------
    def entry_point(self, entry: Function, kinds: str | None = None) -> Function:
        """An entry point of `kernels`, or a workload's own function, ready to be called with integers only.

        Args:
            entry: the function; its first argument is the memory, its second may be the page contents.
            kinds: a letter an argument (m memory, i integer); known for the entry points.
        """
        found = self._entry_points.get(entry)
        if found is None:
            found = self._entry_points[entry] = self._prepare(entry, kinds)
        return found

    def _prepare(self, entry: Function, kinds: str | None) -> Function:
        kinds = entrypoints.ENTRY_POINTS[entry] if kinds is None else kinds
        memories = (self.vm, self.contents)[: kinds.count("m")]
        caller = self.scheme.caller
        if self.execution == "interpreted":
            return partial(interpreted(caller, entry, self.checks) if caller else entry, *memories)
        extra = None if entry in entrypoints.ENTRY_POINTS else entry
        quick = policy_library(self.scheme, self.one_thread).quick
        run = engine_library(engine_layouts(self.scheme), extra, quick, self.one_thread, caller).get(entry, kinds)
        return partial(run, *(memory.addr for memory in memories))

    def scratch(self) -> NDArray[np.int64]:
        """The workload's own memory as 64-bit integers, shape (scratch / 8,)."""
        return np.ndarray((self.shape.scratch // 8,), np.int64, self.vm.buffer, self.map.scratch)

    def with_execution(self, execution: Execution) -> Self:
        """A view of the same memory that runs the other way."""
        twin = object.__new__(type(self))
        twin.__dict__ = dict(self.__dict__)
        twin.execution = execution
        twin._connect()
        return twin

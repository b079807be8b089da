"""The modelled kernel's structs as Python types: for annotations, for mypy, and for an editor's completion.

The classes list the fields that every machine has. Which fields a policy adds is known only once its parameters are
chosen, so any other attribute has the type `Ref`, too; at run time an attribute that is no field raises AccessError.
The offsets are in `engine.structs`. Pointers into a memory are of classes derived from these (see `pointer_class`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.errors import AccessError
from foliolab.framework.machine.layout import Field, Struct
from foliolab.framework.machine.ref import Ref, ref_class

if TYPE_CHECKING:
    from foliolab.framework.machine.memory import Memory


class Pointer:
    """A typed pointer; attributes are references to the struct's fields."""

    __slots__ = ("mem", "off")
    struct: Struct

    def __init__(self, mem: Memory, off: int) -> None:
        if off % 8:
            raise AccessError(
                f"struct {self.struct.name} at byte {off:#x}: not aligned to 8 bytes",
                "check the offset it was computed from",
            )
        if off < 0 or off + self.struct.size > mem.size:
            raise AccessError(
                f"struct {self.struct.name} at byte {off:#x}: outside the {mem.size:#x} bytes of modelled memory",
                "check the page or folio number it was computed from",
            )
        self.mem = mem
        self.off = off

    def __repr__(self) -> str:
        return f"{self.struct.name}@{self.off:#x}"

    def __getattr__(self, name: str) -> Ref:
        known = ", ".join(self.struct.by_name)
        raise AccessError(f"struct {self.struct.name} has no field {name!r}", f"its fields are {known}")


class Page(Pointer):
    """A `struct page`: one page frame's metadata, and the fields that a policy stores per page."""

    __slots__ = ()
    flags: Ref
    compound_head: Ref
    lru_next: Ref
    lru_prev: Ref
    mapping: Ref
    gup_refs: Ref
    private: Ref
    _mapcount: Ref
    _refcount: Ref
    memcg_data: Ref


class Folio(Pointer):
    """A `struct folio`: it overlays the first struct pages, and has the fields that a policy stores per folio."""

    __slots__ = ()
    flags: Ref
    mapping: Ref
    private: Ref
    _mapcount: Ref
    _refcount: Ref
    _flags_1: Ref
    _pincount: Ref
    _nr_pages: Ref
    _deferred_list: Ref


class MM(Pointer):
    """An `mm_struct`: one address space, with the fields that a policy stores per MM."""

    __slots__ = ()
    pgd: Ref
    pmd: Ref
    nr_ptes: Ref
    mm_id: Ref
    flags: Ref
    rss_anon: Ref
    rss_file: Ref
    rss_swap: Ref
    here: Ref


class Cpu(Pointer):
    """Per-CPU data: the statistics and the mmu_gather batch."""

    __slots__ = ()
    NR_ANON_MAPPED: Ref
    NR_FILE_MAPPED: Ref
    NR_ANON_THPS: Ref
    NR_SHMEM_PMDMAPPED: Ref
    NR_FILE_PMDMAPPED: Ref
    NR_ANON_PARTIALLY_MAPPED: Ref
    THP_DEFERRED_SPLIT_PAGE: Ref
    PGFREE: Ref
    PGCOPY: Ref
    PGREUSE: Ref
    gather_nr: Ref
    nr_anon: Ref
    gather: Ref


class Zone(Pointer):
    """The page allocator's data, the IDs of MMs, and what the engine knows about the policy."""

    __slots__ = ()
    lock: Ref
    nr_free: Ref
    mm_ida: Ref
    mm_ida_words: Ref
    max_mm_id: Ref
    has_contents: Ref
    max_order: Ref
    nr_pages: Ref
    free_area: Ref
    notify_moves: Ref
    pins: Ref


class Pte(Pointer):
    """A page-table entry: a pfn and flags, in one 64-bit field."""

    __slots__ = ()
    pte: Ref


POINTERS: Final[dict[str, type[Pointer]]] = {
    "page": Page, "folio": Folio, "mm": MM, "cpu": Cpu, "zone": Zone, "pte": Pte,
}  # fmt: skip
"""The type of a pointer to a struct, by the struct's name."""


def _property(field: Field, owner: str) -> property:
    offset = field.offset
    made = ref_class(field, owner)
    new: Callable[[type[Ref]], Ref] = object.__new__

    def reference(ptr: Pointer) -> Ref:
        # Every access makes one. Without the call of `Ref.__init__` that takes half the time.
        ref = new(made)
        ref.mem = ptr.mem
        ref.off = ptr.off + offset
        return ref

    return property(reference)


@cache
def pointer_class(struct: Struct) -> type[Pointer]:
    """The class of pointers to a struct; its fields are properties that make a `Ref`."""
    body: dict[str, Any] = {"__slots__": (), "struct": struct}
    body |= {f.name: _property(f, struct.name) for f in struct.fields}
    return type(struct.name, (POINTERS.get(struct.name, Pointer),), body)

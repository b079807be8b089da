"""Names of the fields of a modelled machine, and their values as text, for tables."""

from __future__ import annotations

import re
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.stored import Per, Stored
from foliolab.framework.engine.locks import LOCK_NAMES
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_MIGRATION, PTE_PRESENT, PTE_WRITE
from foliolab.framework.engine.structs import PTE_SIZE
from foliolab.framework.machine.layout import Bits
from foliolab.framework.machine.ref import Ref

_NAME: Final = re.compile(r"(?P<owner>[a-z]+)(?P<number>\d*)(?:\[(?P<page>\d+)\])?\.(?P<field>\w+)(?:\[(?P<at>\d+)\])?")
_PER: Final[dict[str, Per]] = {"folio": "folio", "page": "page", "frame": "page", "mm": "mm"}
DECIMAL: Final = 1 << 20
"""Numbers from this value on are shown in hexadecimal."""


def name_of(machine: Machine, ref: Ref, folio: tuple[int, int] = (-1, 0)) -> str:
    """The name of a field by its owner and element.

    Args:
        folio: (head, pages) of the folio that is named without its frame number.

    Returns:
        a name such as `folio._mm_ids`, `page[2]._mapcount` (of that folio), `folio8._mm_id_mapcount[1]`,
        `frame9.flags`, `mm1.pte[3]`, `mm1.rss_anon`, `cpu0.PGFREE`, `zone.free_area[2]`.
    """
    if ref.owner == "pte":
        return _entry(machine, ref.off)
    field = ref.field
    structs = {"mm": machine.map.mms, "cpu": machine.map.cpus, "zone": [machine.map.zone]}.get(ref.owner, [])
    for number, start in enumerate(structs):
        if start <= ref.off < start + machine.layouts[ref.owner].size:
            element = (ref.off - start - field.offset) // ref.ctype.bytes
            return f"{ref.owner}{number if ref.owner != 'zone' else ''}.{field.name}{_at(field.count, element)}"
    frame, rest = divmod(ref.off - field.offset, machine.layouts["page"].size)
    tail = f".{field.name}{_at(field.count, rest // ref.ctype.bytes)}"
    head, pages = folio
    if ref.owner == "folio":
        return f"folio{'' if frame == head else frame}{tail}"
    return (f"page[{frame - head}]" if head <= frame < head + pages else f"frame{frame}") + tail


def _at(count: int, element: int) -> str:
    return f"[{element}]" if count > 1 else ""


def _entry(machine: Machine, offset: int) -> str:
    """The name of a page-table entry, of a lock of an MM, or of a word of the bitmap of MM IDs."""
    tables = [(machine.map.ida, "zone.mm_ida"), (machine.map.pins, "pins")]
    tables += [(start, f"mm{mm}.pte") for mm, start in enumerate(machine.map.pgds)]
    tables += [(start, f"mm{mm}.pmd") for mm, start in enumerate(machine.map.pmds)]
    start, name = max(table for table in tables if table[0] <= offset)
    number = (offset - start) // PTE_SIZE
    lock = number - machine.pmds(0).size
    if name.endswith(".pmd") and lock >= 0:
        return f"{name.removesuffix('pmd')}{LOCK_NAMES[lock]}"
    return f"{name}[{number}]"


def field_of(scheme: Scheme, name: str) -> Stored | None:
    """The policy's field of a name that `name_of` returned; None for a field of the kernel."""
    match = _NAME.fullmatch(name)
    per = _PER.get(match["owner"]) if match else None
    if match is None or per is None:
        return None
    return next((stored for stored in scheme.stored(per) if stored.name == match["field"]), None)


def value_text(name: str, value: int, stored: Stored | None = None) -> str:
    """A value as text.

    Args:
        stored: the policy's field; its named bits are shown by name.
    """
    if ".pte[" in name or ".pmd[" in name:
        return _entry_text(value)
    if stored is not None and stored.bits:
        named = [f"{bits.name} {_number(bits_of(value, bits))}" for bits in stored.bits if bits_of(value, bits)]
        return ", ".join(named) or "0"
    return hex(value) if "flags" in name and value >= 0 else _number(value)


def change_text(name: str, old: int, new: int, stored: Stored | None = None) -> str:
    """A change as text; of a field with named bits only those that change."""
    if stored is not None and stored.bits and old != new:
        named = [
            f"{bits.name} {_number(bits_of(old, bits))} → {_number(bits_of(new, bits))}"
            for bits in stored.bits
            if bits_of(old, bits) != bits_of(new, bits)
        ]
        if named:
            return ", ".join(named)
    return f"{value_text(name, old)} → {value_text(name, new)}"


def bits_of(value: int, bits: Bits) -> int:
    """The value of a named range of bits."""
    return value >> bits.low & ((1 << bits.width) - 1)


def _number(value: int) -> str:
    return str(value) if abs(value) < DECIMAL else hex(value)


def _entry_text(value: int) -> str:
    if not value:
        return "none"
    where = f"frame {value >> PFN_SHIFT & ((1 << 40) - 1)}"
    if not value & PTE_PRESENT:
        return f"{'migrating' if value & PTE_MIGRATION else 'swapped'}, {where}"
    return f"{where}{', writable' if value & PTE_WRITE else ''}"

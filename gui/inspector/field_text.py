"""Texts about a field: its meaning, position and value, and what the step changed."""

from __future__ import annotations

from typing import Final

from foliolab.framework.engine import structs
from foliolab.framework.explore.folio_detail import FLAGS, FieldDetail, FolioDetail
from foliolab.framework.machine.layout import Bits
from foliolab.framework.verify.field_names import bits_of, change_text

_DOCS: Final = {
    **{field.name: field.doc for field in structs.PAGE_FIELDS if field.doc},
    "_flags_1": "low 8 bits: order; PG_partially_mapped",
    "lru[0]": "links of the LRU list",
    "lru[1]": "links of the LRU list",
    "index": "offset within the mapping, in pages",
    "_refcount": "references",
    "_pincount": "pins of the folio, for DMA",
    "_nr_pages": "pages of the folio",
}
SIGN: Final = {"right": "✓", "false shared": "≠", "unsafe": "✗"}
ROLE: Final = {"right": "good", "false shared": "doubtful", "unsafe": "bad"}


def meaning(field: FieldDetail) -> str:
    """The meaning of a field; empty if no declaration gives one."""
    name = field.name.partition("[")[0]
    if field.doc:
        return field.doc
    if name.startswith(("_head_", "compound_head")):
        return "byte offset of the head page, plus 1"
    if name.startswith("_flags_"):
        return _DOCS.get(name, "page flags of this tail page")
    if name.startswith(("_mapcount_", "_refcount_")):
        return f"the tail page's own {name[1:].partition('_')[0]}"
    return _DOCS.get(field.name) or _DOCS.get(name, "")


def bits_named(field: FieldDetail) -> tuple[Bits, ...]:
    """The named bits of a field, the lowest first."""
    if field.stored is not None:
        return tuple(sorted(field.stored.bits, key=lambda one: one.low))
    return ()


def hexadecimal(field: FieldDetail) -> str:
    """The value as an unsigned hexadecimal number of the field's width."""
    return f"0x{field.value & ((1 << field.bits) - 1):0{max(field.bits // 4, 1)}x}"


def short(field: FieldDetail) -> str:
    """The value as a short text."""
    return flags_text(field) or field.text


def flags_text(field: FieldDetail) -> str:
    """The names of the flags that are set; empty if the field does not hold page flags."""
    if field.owner == "policy":
        return ""
    if field.name == "_flags_1":
        order = field.value & structs.ORDER_MASK
        partial = ", partially_mapped" if field.value >> structs.PG_partially_mapped & 1 else ""
        return f"order {order}{partial}"
    if field.name == "flags":
        names = [name for bit, name in FLAGS.items() if field.value >> bit & 1]
        return ", ".join(names) or "none set"
    return ""


def changed(field: FieldDetail) -> str:
    """The step's change, as "old → new"; empty if the step did not change the field."""
    return change_text(field.name, field.before, field.value, field.stored) if field.changed else ""


def position(field: FieldDetail) -> str:
    """Width and position of a field."""
    page = "the head page" if field.page == 0 else f"tail page {field.page}"
    return f"{field.bits} bits at byte {field.offset} of {page}"


def sentence(field: FieldDetail, policy: str) -> str:
    """Meaning, value, change, owner and position of a field, in one sentence."""
    doc = meaning(field)
    owner = f"{policy}'s" if field.owner == "policy" else "the kernel's"
    decoded = flags_text(field) or ("" if field.text in (str(field.value), hexadecimal(field)) else field.text)
    value = f"{field.value} ({hexadecimal(field)})" + (f": {decoded}" if decoded else "")
    start = f"{field.name}{f' ({doc})' if doc else ''} = {value}"
    change = changed(field)
    return f"{start}; {f'this step: {change}; ' if change else ''}{owner}, {position(field)}."


def table(folio: FolioDetail) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Headings, and a row for every field, followed by rows for its named bits; for export."""
    rows: list[tuple[object, ...]] = []
    for one in folio.fields:
        rows.append(
            (folio.head, one.page, one.offset, one.bits, one.name, one.owner, one.value, hexadecimal(one), short(one),
             one.before, "changed" if one.changed else "", meaning(one))
        )  # fmt: skip
        for bits in bits_named(one):
            now, then = bits_of(one.value, bits), bits_of(one.before, bits)
            rows.append(
                (folio.head, one.page, one.offset, bits.width, f"{one.name}.{bits.name}", one.owner, now, hex(now),
                 f"from bit {bits.low}", then, "changed" if now != then else "", "")
            )  # fmt: skip
    return (
        "folio", "struct page", "byte", "bits", "field", "owner", "value", "hexadecimal", "text", "before", "step",
        "meaning",
    ), rows  # fmt: skip

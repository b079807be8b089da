"""The text of a policy out of translated functions. Each line ends with the C line that it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from foliolab.framework.csource.place import Place
from foliolab.framework.csource.unit import Unit, UsedField
from foliolab.framework.csource.value import BELOW, BELOW_TEXT
from foliolab.framework.csource.vocabulary import ENGINE_FIELDS
from foliolab.framework.errors import CSourceError

WIDTH: Final = 100
STRIDE: Final = 64
"""Bytes of a struct page."""
MARK: Final = "  # C "


@dataclass(frozen=True)
class Declared:
    """What a policy declares besides its functions.

    Args:
        name, summary, layout, claims, max_mm_id: as `contract.policy.Policy` has them.
        references: where the C text is.
    """

    name: str
    summary: str
    references: tuple[str, ...]
    layout: str
    claims: tuple[str, ...]
    max_mm_id: int


def text_of(unit: Unit, declared: Declared, hooks: Mapping[str, str], initial: Mapping[str, int]) -> str:
    """The text of a policy's module.

    Args:
        hooks: the policy's function for each hook.
        initial: the initial values of the folio's fields.

    Raises:
        CSourceError: a field lies in the first struct page, or nothing is stored.
    """
    used = "\n".join(text for one in unit.instances for _, text, _ in one.lines)
    imports = sorted({*unit.imports, "Bits", "Hooks", "Policy", "Stored", *(["u64"] if "u64(" in used else [])})
    kept = {name: value for name, value in unit.constants.items() if re.search(rf"\b{name}\b", used)}
    parts = [
        f'"""`{declared.name}`, translated from C by FolioLab. The C text is the source: change that."""\n',
        f"from foliolab.framework.api import {', '.join(imports)}\n",
        "".join(f"{name} = {value}\n" for name, value in sorted(kept.items())),
        BELOW_TEXT if f"{BELOW}(" in used else "",
        *("\n".join(_line(depth, text, place) for depth, text, place in one.lines) + "\n" for one in unit.instances),
        _declaration(declared, _stored(unit, initial), hooks),
    ]
    return "\n\n".join(part for part in parts if part)


def _line(depth: int, text: str, place: Place) -> str:
    line = "    " * depth + text
    return f"{line:{WIDTH}}{MARK}{place}" if place.file else line


def _declaration(declared: Declared, stored: Sequence[str], hooks: Mapping[str, str]) -> str:
    fields = "".join(f"        {one},\n" for one in stored)
    given = "".join(f"        {hook}={function},\n" for hook, function in hooks.items())
    return (
        f"POLICY = Policy(\n    name={declared.name!r},\n    summary={declared.summary!r},\n"
        f"    references={declared.references!r},\n    layout={declared.layout!r},\n    fields=(\n{fields}    ),\n"
        f"    capabilities=frozenset({sorted(declared.claims)!r}),\n    max_mm_id={declared.max_mm_id},\n"
        f"    hooks=Hooks(\n{given}    ),\n)\n"
    )


# -- fields ----------------------------------------------------------------------------------------
def _stored(unit: Unit, initial: Mapping[str, int]) -> list[str]:
    """The declaration of each field that the text uses and that is the policy's."""
    found = []
    own = {key: one for key, one in unit.fields.items() if key[1] not in ENGINE_FIELDS and not _is_engine(key)}
    for (owner, name), one in sorted(own.items(), key=lambda item: (item[0][0], item[1].offset, item[0][1])):
        union = any(
            _overlap(one, other) and _second(one, name, other, key[1])
            for key, other in own.items()
            if key[0] == owner and key[1] != name
        )
        inside = {
            key[1]: other for key, other in own.items() if key[0] == owner and key[1] != name and _overlap(one, other)
        }
        bits = "" if union else _bits(one, unit.bits.get(name, {}), inside)
        found.append(_field(owner, name, one, initial, union, bits))
    return found


def _is_engine(key: tuple[str, str]) -> bool:
    return key == ("mm_struct", "mm_id")


def _overlap(a: UsedField, b: UsedField) -> bool:
    return a.offset < b.end and b.offset < a.end


def _second(a: UsedField, a_name: str, b: UsedField, b_name: str) -> bool:
    """Whether a is the member of a union that is declared as lying over b: the narrower one."""
    return (-a.type.bits, a_name) > (-b.type.bits, b_name)


def _bits(one: UsedField, single: Mapping[int, str], inside: Mapping[str, UsedField]) -> str:
    """The declaration of a field's ranges of bits: what other members of a union divide it into, less single bits."""
    if one.count > 1 or not (single or inside):
        return ""
    parts = [(0, one.type.bits, "rest")]
    for name, other in inside.items():
        size = other.type.bits
        low = 8 * (other.offset - one.offset)
        parts = [(low + i * size, low + (i + 1) * size, f"{name}[{i}]") for i in range(other.count)]
    named = [(bit, bit + 1, name) for bit, name in single.items()]
    for low, end, name in parts:
        edges = [low, *(edge for bit in sorted(single) if low <= bit < end for edge in (bit, bit + 1)), end]
        ranges = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]
        named += [(a, b, name if len(ranges) == 1 else f"{name}{i}") for i, (a, b) in enumerate(ranges)]
    declared = (f"Bits({name!r}, {low}, {end - low})" for low, end, name in sorted(named))
    return f"bits=({', '.join(declared)},)"


def _field(owner: str, name: str, one: UsedField, initial: Mapping[str, int], union: bool, bits: str) -> str:
    if owner == "folio" and one.offset < STRIDE:
        raise CSourceError(
            f"{one.place}: folio->{name} lies at byte {one.offset}, in the first struct page, which is the engine's",
            "store it in a later page of struct folio, or in struct page for one of each page",
        )
    place = {
        "folio": f"page={one.offset // STRIDE}, offset={one.offset % STRIDE}",
        "page": f'per="page", offset={one.offset}',
        "mm_struct": f'per="mm", offset={one.offset}',
    }[owner]
    init = initial.get(f"{owner}.{name}")
    more = [
        *([f"count={one.count}"] if one.count > 1 else []),
        *([f"init={init}"] if init is not None and not union else []),
        *(["wraps=True"] if one.type.bits == 64 and not one.type.signed else []),
        *(["overlays=True"] if union else []),
        *([bits] if bits else []),
    ]
    return f"Stored({name!r}, {one.type.field!r}, {', '.join([place, *more])}, doc={f'declared at {one.place}'!r})"

"""`foliolab show`: the struct pages of a scheme, drawn in plain text, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from foliolab.framework.anatomy.atomics import Operation
from foliolab.framework.anatomy.layout import LAYOUT_NAMES, Anatomy, Box, Column, StructPage, Word
from foliolab.framework.contract.policy import CLAIMS, Scheme
from foliolab.framework.contract.stored import Stored
from foliolab.framework.kernel.witnesses import Witness
from foliolab.framework.plugins.selection import size_text
from foliolab.framework.report.listing import parameter_text
from foliolab.framework.report.pages.plain_text import Plain
from foliolab.framework.verify.finding import OWED
from foliolab.framework.verify.ledger import KeptVerdict

ROW: Final = 8
CELL: Final = 8
"""Characters per byte in a drawing of a struct page, whose rows have 8 bytes."""
MOST_ROWS: Final = 24
"""Rows of a drawing at most: a scheme with a counter for every MM may need thousands."""
MARK: Final = {"policy": "■ ", "kernel": "  "}


def render(
    found: Anatomy,
    operations: Sequence[Operation],
    out: Plain,
    verdicts: Mapping[str, KeptVerdict] | None = None,
    witnesses: Sequence[str] = (),
) -> None:
    """Draw struct pages, bits, memory and atomics of a scheme.

    Args:
        verdicts: that `verify` found, by claim.
        witnesses: a line for each kernel that the scheme was held against.
    """
    _head(found.scheme, out, verdicts or {}, witnesses)
    _pages(found, out)
    _words(found, out)
    _first_tails(found.first_tails, out)
    _order_1(found, out)
    _costs(found, out)
    _atomics(operations, out)


def _heading(text: str, out: Plain) -> None:
    out.line()
    out.line(text, "strong")


def _head(scheme: Scheme, out: Plain, verdicts: Mapping[str, KeptVerdict], witnesses: Sequence[str]) -> None:
    policy = scheme.policy
    out.item(scheme.name, policy.summary, indent=0, style="strong")
    out.line(f"extends struct folio of {LAYOUT_NAMES[policy.layout]}; folios up to order {policy.max_order}")
    if policy.models is not None and not scheme.chosen:
        out.line(f"models {policy.models.description}: `foliolab kernel check` holds it against such a kernel")
        for witness in witnesses:
            out.item("·", witness)
    _heading("Claims", out)
    column = 4 + max((len(name) for name in scheme.capabilities), default=0)
    for name in sorted(scheme.capabilities):
        out.item(name, CLAIMS[name], column=column)
        _verdict(verdicts.get(name), column, out)
    if not scheme.capabilities:
        out.line("  none")
    _verdict(verdicts.get(OWED), 2, out)
    for source in dict.fromkeys(one.source for one in verdicts.values()):
        out.item("", f"  {source}", column=2)
    if policy.parameters:
        _heading("Parameters", out)
        for parameter, (_, value) in zip(policy.parameters, scheme.values, strict=True):
            word = parameter.choices[value] if parameter.choices else str(value)
            here = "" if word == str(parameter.default) else f"; here {word}"
            out.item("", parameter_text(parameter) + here, indent=1)
    _heading("References", out)
    for reference in policy.references:
        out.item("", reference, indent=1)


def _verdict(verdict: KeptVerdict | None, column: int, out: Plain) -> None:
    if verdict is not None:
        sign = {"refuted": "✗", "held": "✓", "partly": "◐"}.get(verdict.verdict, "?")
        out.item("", f"{sign} {verdict.headline}", column=column)


# -- struct pages --------------------------------------------------------------------------------
def _pages(found: Anatomy, out: Plain) -> None:
    _heading(f"Struct pages of a folio of order {found.order} ({size_text(4096 << found.order)})", out)
    out.line("  ■ this policy's    (no mark) the kernel's own, whatever the policy    · free")
    for page in found.pages:
        out.line()
        _draw(page, out)
    if found.other_pages:
        per_page = ", ".join(f.name for f in found.scheme.stored("page"))
        holds = f"with {per_page} of this policy" if per_page else "with nothing of this policy"
        out.line()
        out.line(f"  and {found.other_pages} more tail pages, each {holds}")
    for stored in found.overlays:
        out.line(f"  {_declared(stored)} is another view of the same bytes: {stored.doc or 'a union'}")
    for stored in found.per_mm:
        out.line(f"  struct mm: {_declared(stored)}: {stored.doc}")
    if found.absent:
        out.line(f"  not there in a folio of this order: {', '.join(found.absent)}")


def _declared(stored: Stored) -> str:
    count = f"[{stored.count}]" if stored.count > 1 else ""
    return f"{stored.name}{count} ({stored.ctype} at byte {stored.offset})"


def _draw(page: StructPage, out: Plain) -> None:
    """Draw one struct page: 8 bytes in each row, 8 columns for each byte."""
    role = {0: "head page", 1: "first tail page"}.get(page.number, "tail page")
    larger = f", {page.size} bytes instead of 64" if page.size > 64 else ""
    out.line(f"  page[{page.number}] {role}{larger}: {page.free_bytes} bytes free")
    rule = "─" * (ROW * CELL - 1)
    out.line(f"       ┌{rule}┐")
    rows = page.size // ROW
    for row in range(min(rows, MOST_ROWS)):
        out.line(f"  {row * ROW:>4} │{_row(page, row * ROW)}│")
    if rows > MOST_ROWS:
        out.line(f"       │{f'  and so on to byte {page.size}':<{ROW * CELL - 1}}│")
    out.line(f"       └{rule}┘")


def _row(page: StructPage, start: int) -> str:
    cells = []
    at = start
    while at < start + ROW:
        box = _box_at(page, at)
        # A free range or a wide field ends with the row and continues in the next one.
        end = min(box.offset + box.size, start + ROW) if box else _free_to(page, at, start + ROW)
        text = f"{MARK[box.owner]}{box.name} {box.ctype}" if box else "·" * ((end - at) * CELL - 1)
        width = (end - at) * CELL - 1
        cells.append((text if len(text) <= width else f"{text[: width - 1]}…").ljust(width))
        at = end
    return "│".join(cells)


def _box_at(page: StructPage, byte: int) -> Box | None:
    return next((box for box in page.boxes if box.offset <= byte < box.offset + box.size), None)


def _free_to(page: StructPage, byte: int, most: int) -> int:
    return min(next(end for start, end in page.free if start <= byte < end), most)


def _words(found: Anatomy, out: Plain) -> None:
    if not found.words:
        return
    _heading("Bits", out)
    for word in found.words:
        out.item(f"{word.field} ({word.ctype})", ", ".join(_bits(word)), style="name")


def _bits(word: Word) -> list[str]:
    return [
        f"{bit.low + bit.width - 1}..{bit.low} {bit.name or 'free'}" if bit.width > 1
        else f"{bit.low} {bit.name or 'free'}"
        for bit in word.bits
    ]  # fmt: skip


def _first_tails(columns: Sequence[Column], out: Plain) -> None:
    _heading("page[1], the first tail page, by kernel (■ the policy in brackets)", out)
    width = 22
    for line in ([LAYOUT_NAMES[c.layout] for c in columns], [f"({c.scheme})" for c in columns]):
        out.line(f"        {''.join(text.ljust(width + 2) for text in line)}".rstrip())
    for byte in range(0, 64, 4):
        cells = "".join(_half(column.page, byte).ljust(width + 2) for column in columns)
        out.line(f"  {byte:>4}  {cells}".rstrip())
    free = "".join(f"{c.page.free_bytes} bytes".ljust(width + 2) for c in columns)
    out.line(f"  free  {free}".rstrip())


def _half(page: StructPage, byte: int) -> str:
    box = _box_at(page, byte)
    if box is None:
        return "· free"
    return f"{MARK[box.owner]}{box.name}" if box.offset == byte else f"{MARK[box.owner]}  (continued)"


def _order_1(found: Anatomy, out: Plain) -> None:
    page = found.order_1
    _heading("In a folio of order 1 (8K), page[1] is the only tail page", out)
    ranges = ", ".join(f"{start} to {end - 1}" for start, end in page.free)
    out.line(f"  free: {page.free_bytes} bytes{f' (bytes {ranges})' if ranges else ''}")
    out.line(f"  not there: {', '.join(found.absent_1) or 'nothing, everything lies in page[0] and page[1]'}")


# -- costs ---------------------------------------------------------------------------------------
def _costs(found: Anatomy, out: Plain) -> None:
    _heading("Memory", out)
    if any(cost.extra for cost in found.costs):
        out.line("  makes every struct page larger; extra memory for each folio:")
    else:
        out.line("  no extra memory: all fields lie in free bytes of existing struct pages")
    out.line(f"  {'order':>5}  {'folio':>6}  {'bits used per folio':>19}  {'bits per page':>13}  {'extra bytes':>12}")
    for cost in found.costs:
        size = size_text(4096 << cost.order)
        used = f"{cost.bits:>19}  {cost.bits_per_page:>13.2f}" if cost.order else f"{'-':>19}  {'-':>13}"
        out.line(f"  {cost.order:>5}  {size:>6}  {used}  {cost.extra:>12}")


def _atomics(operations: Sequence[Operation], out: Plain) -> None:
    _heading("Atomic read-modify-writes on this policy's fields, one operation on one whole folio", out)
    column = 4 + max((len(one.name) for one in operations), default=0)
    group = None
    for one in operations:
        if (one.level, one.order) != group:
            group = one.level, one.order
            out.line(f"  by {one.level}, order {one.order} ({size_text(4096 << one.order)})", "name")
        if one.atomics is None:
            out.item(one.name, f"cannot be counted: {one.problem}", indent=4, column=column + 2)
            continue
        locks = f", {one.locks} of them locks" if one.locks else ""
        out.item(one.name, f"{one.atomics:>4}  ({one.per_page:.2f} per page{locks})", indent=4, column=column + 2)


# -- JSON ----------------------------------------------------------------------------------------
def data(
    found: Anatomy,
    operations: Sequence[Operation],
    verdicts: Mapping[str, KeptVerdict] | None = None,
    witnesses: Sequence[Witness] = (),
) -> dict[str, Any]:
    """The anatomy as JSON values."""
    policy = found.scheme.policy
    return {
        "schema": 1,
        "policy": found.scheme.name,
        "summary": policy.summary,
        "layout": policy.layout,
        "models": policy.models.description if policy.models is not None and not found.scheme.chosen else "",
        "witnesses": [vars(one) for one in witnesses],
        "references": list(policy.references),
        "capabilities": sorted(found.scheme.capabilities),
        "outcomes": [vars(one) | {"stale": one.stale} for one in (verdicts or {}).values()],
        "parameters": dict(found.scheme.values),
        "fields": [vars(stored) | {"bits": [vars(bit) for bit in stored.bits]} for stored in found.scheme.fields],
        "order": found.order,
        "pages": [_page(page) for page in found.pages],
        "absent": list(found.absent),
        "first_tail": {c.layout: {"scheme": c.scheme, **_page(c.page)} for c in found.first_tails},
        "order_1": {"absent": list(found.absent_1), **_page(found.order_1)},
        "memory": [vars(cost) | {"bits_per_page": cost.bits_per_page} for cost in found.costs],
        "atomics": [vars(one) | {"per_page": one.per_page} for one in operations],
    }


def _page(page: StructPage) -> dict[str, Any]:
    return {
        "number": page.number,
        "size": page.size,
        "fields": [vars(box) for box in page.boxes],
        "free": [list(one) for one in page.free],
        "free_bytes": page.free_bytes,
    }

"""The fields that a policy stores in struct folio, struct page or struct mm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from foliolab.framework.machine.layout import Bits, Field

Per = Literal["folio", "page", "mm"]


@dataclass(frozen=True)
class Stored:
    """A field that a policy stores.

    Args:
        name: the kernel's name where there is one.
        ctype: i8 … u64.
        per: one per folio, per page, or per MM.
        page: which struct page of the folio holds it (per folio only); 1 is the first tail page.
        offset: bytes from the start of that struct page (or of the policy's part of struct mm); offsets
            of 64 and more lie outside of today's struct page and make it larger.
        count: elements of an array.
        init: value in a fresh folio or MM; also the value it must have again once nothing maps the folio. In an MM that
            maps no large folio any more, it must be back, or keep what it was given once.
        wraps: arithmetic on it is meant modulo its width.
        overlays: it shares its bytes with another field on purpose (a union).
        transient: it need not return to `init` when nothing maps the folio.
        doc: one line.
        bits: named bit ranges, for pictures.
    """

    name: str
    ctype: str
    per: Per = "folio"
    page: int = 1
    offset: int = 0
    count: int = 1
    init: int | None = None
    wraps: bool = False
    overlays: bool = False
    transient: bool = False
    doc: str = ""
    bits: tuple[Bits, ...] = ()

    def at(self, stride: int) -> Field:
        """This field in the layout of its struct; struct pages are `stride` bytes apart."""
        base = self.page * stride if self.per == "folio" else 0
        return Field(self.name, self.ctype, base + self.offset, self.count, self.init, self.wraps, self.doc, self.bits)

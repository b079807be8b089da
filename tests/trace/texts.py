"""Texts of tracers as tests write them, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from foliolab.framework.trace import events as ev
from foliolab.framework.trace import importers
from foliolab.framework.trace.file import Trace
from foliolab.framework.trace.header import Header

SAMPLES = Path(__file__).parent / "samples"
PAGES = 32  # of the region that phases.py writes to in the samples
BASES = {"perf": 34125283350, "bpftrace": 34289457347, "snapshots": 34311601997}
REUSED, COPIED = ev.REUSED, ev.COPIED


def rows(path: Path) -> list[dict[str, int]]:
    return [row for block in Trace(path).blocks() for row in block.rows()]


def convert(text: str, folder: Path, form: str = "") -> tuple[Header, list[dict[str, int]]]:
    """The header and the events of a text."""
    source = folder / "text"
    source.write_text(text)
    header = importers.convert(source, folder / "out.folio", form)
    return header, rows(folder / "out.folio")


def perf(*lines: str) -> str:
    """Lines of perf script: `time pid/tid event: text`, in microseconds."""
    out = []
    for line in lines:
        time, who, event, *text = line.split(" ", 3)
        out.append(f" some prog {who} [001] 10.{int(time):06d}000: {event} {''.join(text)}")
    return "\n".join(out) + "\n"


def fault(address: int, error: int, kind: str = "user") -> str:
    return f"exceptions:page_fault_{kind}: address={address:#x} ip=0x1 error_code={error:#x}"


def alloc(pfn: int, order: int = 0, more: str = "") -> str:
    return f"kmem:mm_page_alloc: page=0x1 pfn={pfn:#x} order={order} migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE{more}"


def only(found: Iterable[dict[str, int]], *kinds: int) -> list[dict[str, int]]:
    return [row for row in found if row["kind"] in kinds]

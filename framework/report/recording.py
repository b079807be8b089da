"""`foliolab record` and `import`: what a trace holds, in plain text and as JSON."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from foliolab.framework.report.pages.plain_text import Plain
from foliolab.framework.report.words import size_text
from foliolab.framework.trace.importers.summary import TraceSummary

COLUMN: Final = 14


def render(summary: TraceSummary, out: Plain) -> None:
    """Print a short summary: the source, events by kind, outcomes, folios by size, and what was lost."""
    header = summary.header
    where = f" on Linux {header.kernel}" if header.kernel else ""
    span = "no times" if header.shows.times is False else f"{summary.span_ns / 1e9:.3f} s"
    out.item("trace", f"{summary.path}: {header.source}{where}, {span}", column=COLUMN)
    out.item("MMs", f"{summary.processes:,} (a process has another one after exec){_older(summary)}", column=COLUMN)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in summary.kinds.items())
    out.item("events", f"{summary.events:,}: {kinds}", column=COLUMN)
    if summary.outcomes or summary.file_writes:
        parts = [f"{count:,} {outcome}" for outcome, count in summary.outcomes.items()]
        if summary.file_writes:
            parts.append(f"{summary.file_writes:,} in mappings of files or shared ones")
        if set(summary.outcomes) != {"unknown"}:
            parts[-1] += f"; {summary.uncertain:,} of them uncertain"
        out.item("writes", ", ".join(parts), column=COLUMN)
    if summary.folios:
        sizes = ", ".join(f"{count:,} of {size_text(4 << order)}" for order, count in summary.folios.items())
        out.item("folios", sizes, column=COLUMN)
    lost = f"{header.lost:,} events" if header.lost else "nothing, as far as the tracer says"
    out.item("lost", lost, column=COLUMN, style="bad" if header.lost else "")
    if header.shows.teardown is not False:
        out.item("exits", f"{header.exit_uncertainty_ns / 1e6:,.1f} ms of teardown, summed", column=COLUMN)
    for sentence in header.shows.cannot_tell:
        out.item("unknown", sentence, column=COLUMN)
    for note in header.notes:
        out.item("note", note, column=COLUMN)
    if summary.damaged:
        out.item("damaged", summary.damaged, column=COLUMN, style="bad")


def _older(summary: TraceSummary) -> str:
    """How many MMs have no known beginning, and how many have pages of one that has none; empty if none has."""
    if not summary.older:
        return ""
    text = f", {summary.older:,} without a known beginning"
    return f"{text} and {summary.inherited:,} forked from them" if summary.inherited else text


def data(summary: TraceSummary) -> dict[str, Any]:
    """The summary as JSON values."""
    return {"schema": 1, **{name: msgspec.to_builtins(value, str_keys=True) for name, value in vars(summary).items()}}

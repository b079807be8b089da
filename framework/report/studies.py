"""Results of `foliolab precision` and `consequences` for `foliolab report`: as a document page and as CSV."""

from __future__ import annotations

from typing import Any

from foliolab.framework.consequences.result import ConsequencesResult
from foliolab.framework.precision.result import PrecisionResult
from foliolab.framework.report import consequences, precision
from foliolab.framework.report.pages.document import DocumentPage
from foliolab.framework.report.words import csv_text, origin, times


def title(result: PrecisionResult | ConsequencesResult) -> str:
    """The title of the document."""
    what = "how precise policies are" if isinstance(result, PrecisionResult) else "what follows from policies' answers"
    return f"FolioLab: {what}, {result.started[:10]}"


def document_page(result: PrecisionResult | ConsequencesResult) -> DocumentPage:
    """A document page with the report that the terminal shows."""
    page = DocumentPage()
    if isinstance(result, PrecisionResult):
        precision.render(result, page)
    else:
        consequences.render(result, page)
    return page


def repeat(result: PrecisionResult | ConsequencesResult) -> list[tuple[str, str]]:
    """How to repeat the run: (heading, text), the command first."""
    return [("command", result.command), times(result), ("seed", str(result.seed)), *origin(result)]


def table(result: PrecisionResult | ConsequencesResult) -> str:
    """The result as CSV: a row per workload, number of MMs and policy, or per source, policy, and asker or figure."""
    rows = _points(result) if isinstance(result, PrecisionResult) else _outcomes(result)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return csv_text(columns, ([row.get(name, "") for name in columns] for row in rows))


def _points(result: PrecisionResult) -> list[dict[str, Any]]:
    return [
        {
            "workload": one.workload, "mms": one.mms, "policy": one.policy, "events": one.events,
            "most_owners": one.most_owners, "exclusive_ops": one.exclusive_ops, "exclusive_time": one.exclusive_time,
            "false_shared_ops": one.false_shared.ops, "false_shared_time": one.false_shared.folio_ns,
            "shared_ops": one.shared_ops, "shared_time": one.shared_time, "unsafe_ops": one.unsafe.ops,
            "unsafe_time": one.unsafe.folio_ns, "stopped": one.stopped,
        }
        for one in result.points
    ]  # fmt: skip


def _outcomes(result: ConsequencesResult) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for source in result.sources:
        for one in source.outcomes:
            at = {"source": source.name, "policy": one.policy}
            rows += [
                at | {"of": "decision", "name": asker.name, "asked": asker.asked, "held_back": asker.held_back,
                      "risked": asker.risked}
                for asker in one.decisions
            ]  # fmt: skip
            rows += [
                at | {"of": "figure", "name": figure.name, "values": figure.values, "high": figure.high,
                      "low": figure.low, "mean": figure.mean, "mean_relative": figure.mean_relative,
                      "largest": figure.largest}
                for figure in one.figures
            ]  # fmt: skip
    return rows

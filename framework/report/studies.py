"""Results of `foliolab precision`, `consequences`, `replay`, `partial` and `kernel count` for `foliolab report`.

They become a document page or CSV.
"""

from __future__ import annotations

from typing import Any

from foliolab.framework.consequences.result import ConsequencesResult
from foliolab.framework.kernel.counting.result import CountsResult
from foliolab.framework.partial.result import PartialResult
from foliolab.framework.precision.result import PrecisionResult
from foliolab.framework.replay.result import ReplayResult
from foliolab.framework.report import consequences, kernelcounts, partial, precision, replay
from foliolab.framework.report.pages.document import DocumentPage
from foliolab.framework.report.words import csv_text, origin, times

Study = PrecisionResult | ConsequencesResult | ReplayResult | PartialResult | CountsResult


def title(result: Study) -> str:
    """The title of the document."""
    if isinstance(result, ReplayResult):
        return f"FolioLab: {result.recording.path} under {len(result.policies)} policies, {result.started[:10]}"
    if isinstance(result, PartialResult):
        return f"FolioLab: partially mapped folios of {result.runs[0].recording.path}, {result.started[:10]}"
    if isinstance(result, CountsResult):
        return f"FolioLab: counts of {', '.join(kernel.name for kernel in result.kernels)}, {result.started[:10]}"
    what = "how precise policies are" if isinstance(result, PrecisionResult) else "what follows from policies' answers"
    return f"FolioLab: {what}, {result.started[:10]}"


def document_page(result: Study) -> DocumentPage:
    """A document page with the report that the terminal shows."""
    page = DocumentPage()
    if isinstance(result, PrecisionResult):
        precision.render(result, page)
    elif isinstance(result, ReplayResult):
        replay.render(result, page)
    elif isinstance(result, PartialResult):
        partial.render(result, page)
    elif isinstance(result, CountsResult):
        kernelcounts.render(result, page)
    else:
        consequences.render(result, page)
    return page


def repeat(result: Study) -> list[tuple[str, str]]:
    """How to repeat the run: (heading, text), the command first."""
    seed = [] if isinstance(result, ReplayResult | PartialResult | CountsResult) else [("seed", str(result.seed))]
    return [("command", result.command), times(result), *seed, *origin(result)]


def table(result: Study) -> str:
    """The result as CSV.

    A row per workload, number of MMs and policy; per source, policy, and asker or figure; of a replay, per policy
    and figure, kind of write fault, or moment; per run and detector; of counts, per cell, and per function of a cell.
    """
    if isinstance(result, CountsResult):
        return kernelcounts.table(result)
    if isinstance(result, ReplayResult):
        rows = _replayed(result)
    elif isinstance(result, PartialResult):
        rows = partial.rows(result)
    else:
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


def _replayed(result: ReplayResult) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"policy": policy, "of": "figure", "name": name, "value": value}
        for (policy, name), value in result.figures.values.items()
    ]
    for one in result.policies:
        rows += [
            {"policy": one.policy, "of": "write fault", "name": fault.of, "kernel": fault.kernel, "did": fault.policy,
             "certain": fault.certain, "uncertain": fault.uncertain}
            for fault in one.faults
        ]  # fmt: skip
        rows += [
            {"policy": one.policy, "of": "moment", "ns": sample.time, "mms": sample.mms, "frames": sample.frames,
             "folios": sum(sample.folios), "folios_of_one": sum(sample.folios[:1]),
             "folios_of_two": sum(sample.folios[1:2]), "false_folios": sample.false_folios,
             "false_pages": sample.false_pages, "unsafe_folios": sample.unsafe_folios}
            for sample in one.samples
        ]  # fmt: skip
    return rows

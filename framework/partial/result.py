"""The result of `foliolab partial`, and its file."""

from __future__ import annotations

from statistics import median
from typing import Literal

import msgspec

from foliolab.framework import intake
from foliolab.framework.document import Count, Name
from foliolab.framework.errors import UsageError
from foliolab.framework.replay.result import PAGE_BYTES, Recording
from foliolab.framework.results.run_result import Figures, RunResult

MOST_RUNS = 1000
MIB_S = (1 << 20) / PAGE_BYTES * 1e9
"""Pages × ns of a MiB × s."""


class Detected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One detector on one trace. A figure that the trace cannot tell is None.

    Attributes:
        detector: its name.
        page_ns: memory stranded: pages that nothing maps × ns, until their folio is split or freed.
        peak_pages: pages stranded at a time, at most.
        queued: how often a folio was put on the split queue.
        queued_whole: of these, how often all its pages were mapped.
        walks: of the rmap, at removals and by the shrinker.
        entries_least, entries_most: page table entries that these walks look at, if only MMs that map the folio are
            walked, and if all live descendants of the MM are that mapped it first.
        scan_walks, scan_entries_least, scan_entries_most: the same of reclaim's scan, which walks the rmap anyway to
            see whether a folio was referenced.
        locks: acquisitions of the split queue's lock.
        looks: folios at which the shrinker and the scan looked.
        splits: folios that were split.
        splits_in_vain: of these, how many were wholly mapped, so that nothing became free.
        freed_pages: by splits.
        unsplit: folios that were partially mapped at some time, and never split.
    """

    detector: Name
    page_ns: Count | None = None
    peak_pages: Count | None = None
    queued: Count | None = None
    queued_whole: Count | None = None
    walks: Count | None = None
    entries_least: Count | None = None
    entries_most: Count | None = None
    scan_walks: Count | None = None
    scan_entries_least: Count | None = None
    scan_entries_most: Count | None = None
    locks: Count | None = None
    looks: Count | None = None
    splits: Count | None = None
    splits_in_vain: Count | None = None
    freed_pages: Count | None = None
    unsplit: Count | None = None


class Followed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One trace under all detectors. A figure that the trace cannot tell is None.

    Attributes:
        teardown: when the replay tore down MMs: when the recorded teardown began, or when it was certainly over.
        folios: large anonymous folios that the trace shows from their allocation on.
        earlier: folios that were mapped before it began; they are left out.
        disturbed: folios that the kernel itself migrated, split, collapsed or swapped; they are left out from then on.
        partial: folios of which a page was unmapped at some time.
        removals: operations that removed mappings of a folio and left others.
        certain: of these, after how many the counters of the folio as a whole prove that a page is unmapped.
        doubtful: after how many they leave doubt.
        doubtful_partial: of those in doubt, how many folios had an unmapped page.
        page_ns, peak_pages: as of `Detected`, if no folio were ever split.
        detected: the detectors, in the order asked for.
        notes: remarks for the reader, a sentence each.
    """

    recording: Recording
    teardown: Literal["exit", "gone"] = "exit"
    folios: Count | None = None
    earlier: Count | None = None
    disturbed: Count | None = None
    partial: Count | None = None
    removals: Count | None = None
    certain: Count | None = None
    doubtful: Count | None = None
    doubtful_partial: Count | None = None
    page_ns: Count | None = None
    peak_pages: Count | None = None
    detected: list[Detected]
    notes: list[str] = []


class PartialResult(RunResult, frozen=True, kw_only=True):
    """Detectors on recordings of one program.

    Attributes:
        policy: whose counters the kernel has that detects.
        interval_ns: between times of memory pressure.
        looks: folios at which a detector may look at each of them; 0: all.
        summaries: of the detectors, by name.
        runs: the recordings.
    """

    WHAT = "result about partially mapped folios"
    MADE_BY = "foliolab partial --json FILE"

    kind: Literal["partial"] = "partial"
    policy: Name
    interval_ns: Count
    looks: Count
    summaries: dict[str, str]
    runs: list[Followed]

    def check(self) -> None:
        """Refuse runs that cannot stand in one table: each has the same detectors, each once.

        Raises:
            UsageError: names the recording.
        """
        for run in self.runs:
            names = [one.detector for one in run.detected]
            if names != list(self.summaries):
                raise UsageError(
                    f"{intake.excerpt(run.recording.path)} has other detectors than the result names", "run it again"
                )

    @property
    def detectors(self) -> list[str]:
        """Their names, in the order of the report."""
        return list(self.summaries)

    def values(self, detector: str, figure: str) -> list[int]:
        """A figure of a detector in each run that can tell it."""
        found = [one for run in self.runs for one in run.detected if one.detector == detector]
        return [value for one in found if (value := getattr(one, figure)) is not None]

    @property
    def lost(self) -> list[str]:
        return [] if self.complete else ["the run was interrupted"]

    @property
    def figures(self) -> Figures:
        """The median over the runs of what each detector costs."""
        names = {
            "memory stranded, page ns": "page_ns", "walks": "walks", "entries, at least": "entries_least",
            "acquisitions of the lock": "locks", "folios queued although whole": "queued_whole",
            "folios split in vain": "splits_in_vain",
        }  # fmt: skip
        values: dict[tuple[str, ...], float] = {
            (detector, name): median(found)
            for detector in self.detectors
            for name, figure in names.items()
            if (found := self.values(detector, figure))
        }
        of = ", ".join(f"{run.recording.path} ({run.recording.events:,} events)" for run in self.runs)
        pressure = f"memory short each {self.interval_ns / 1e9:g} s, {self.looks or 'all'} looks"
        return Figures(("detector", "figure"), "median over the runs", values, f"{of}; {self.policy}; {pressure}")

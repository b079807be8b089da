"""What users see: figures made of the policy's counters, and the same figures made of the page tables.

Specification 1.5 (statistics), 3.2 (smaps, numa_maps, kpagecount) and 3.3 (the average that may stand for a page's
own count). RSS and memory cgroups' charges rest on no policy, and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.consequences.decisions import seen_frames
from foliolab.framework.consequences.sample import Sample
from foliolab.framework.engine.engine import Engine
from foliolab.framework.engine.procfs import PSS_SHIFT
from foliolab.framework.engine.truth import Counts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """A figure at a moment, each array of shape (values,).

    Attributes:
        given: as the policy's counters give it.
        right: as the page tables do.
        of: which MM or frame each value is of; -1: of none.
    """

    given: Floats
    right: Floats
    of: Counts


@dataclass(frozen=True)
class Figure:
    """A figure.

    Args:
        name: the kernel's where there is one; unique among all askers.
        unit: of its values.
        shows: what it is.
        per: what there is a value of: "MM", "frame", or "" for one of the whole machine.
        source: section of the specification.
        ask: its values at a moment.
    """

    name: str
    unit: str
    shows: str
    per: str
    source: str
    ask: Callable[[Sample], Shown]


def _of_mms(sample: Sample, given: Sequence[float], right: Sequence[float]) -> Shown:
    return Shown(np.array(given, np.float64), np.array(right, np.float64), np.array(sample.mms, np.int64))


def _one(given: int, right: int) -> Shown:
    return Shown(np.array([given], np.float64), np.array([right], np.float64), np.array([-1]))


def _mapped_pages(sample: Sample, anon: bool) -> int:
    truth = sample.truth
    return int(((truth.page_mapcount > 0) & (sample.anon[truth.heads] == anon)).sum())


def _pmd_mapped(sample: Sample, anon: bool) -> int:
    truth = sample.truth
    by_pmd = truth.pmds.any(axis=0) & (sample.anon == anon)
    return int(truth.nr_pages_of[by_pmd].sum())


def anon_pages(sample: Sample) -> Shown:
    """NR_ANON_MAPPED: anonymous pages that are mapped at least once."""
    return _one(sample.machine.statistic("NR_ANON_MAPPED"), _mapped_pages(sample, True))


def mapped(sample: Sample) -> Shown:
    """NR_FILE_MAPPED: pages of files that are mapped at least once."""
    return _one(sample.machine.statistic("NR_FILE_MAPPED"), _mapped_pages(sample, False))


def anon_huge_pages(sample: Sample) -> Shown:
    """NR_ANON_THPS: pages of anonymous folios that a PMD maps."""
    return _one(sample.machine.statistic("NR_ANON_THPS"), _pmd_mapped(sample, True))


def file_pmd_mapped(sample: Sample) -> Shown:
    """NR_FILE_PMDMAPPED and NR_SHMEM_PMDMAPPED: pages of files' folios that a PMD maps."""
    engine: Engine = sample.machine
    given = engine.statistic("NR_FILE_PMDMAPPED") + engine.statistic("NR_SHMEM_PMDMAPPED")
    return _one(given, _pmd_mapped(sample, False))


def _frames(sample: Sample, mm: int) -> Counts:
    """The frames that an MM sees, each as often as it maps it."""
    frames = sample.views[mm].frames
    return frames[frames >= 0]


def pss(sample: Sample) -> Shown:
    """smaps' PSS: each page divided by how often it is mapped, rounded as smaps does."""
    given = [sample.machine.smaps(mm, *span)[2] for mm, span in sample.spans.items()]
    shares = (1 << PSS_SHIFT) // np.maximum(sample.truth.page_mapcount, 1)
    return _of_mms(sample, given, [float(shares[_frames(sample, mm)].sum()) / (1 << PSS_SHIFT) for mm in sample.mms])


def uss(sample: Sample) -> Shown:
    """smaps' Private_*: pages that are mapped exactly once."""
    given = [sample.machine.smaps(mm, *span)[1] for mm, span in sample.spans.items()]
    private = sample.truth.page_mapcount == 1
    return _of_mms(sample, given, [int(private[_frames(sample, mm)].sum()) for mm in sample.mms])


def mapmax(sample: Sample) -> Shown:
    """numa_maps' mapmax: the most often mapped of an MM's pages."""
    given = [int(sample.views[mm].counts.max()) for mm in sample.mms]
    right = [int(sample.truth.page_mapcount[_frames(sample, mm)].max()) for mm in sample.mms]
    return _of_mms(sample, given, right)


def kpagecount(sample: Sample) -> Shown:
    """/proc/kpagecount of every mapped page of a large folio."""
    frames, counts, _ = seen_frames(sample)
    right = sample.truth.page_mapcount[frames]
    return Shown(counts.astype(np.float64), right.astype(np.float64), frames)


FIGURES: Final = (
    Figure("AnonPages", "pages", "anonymous pages mapped (NR_ANON_MAPPED)", "", "1.5, 3.2", anon_pages),
    Figure("Mapped", "pages", "pages of files mapped (NR_FILE_MAPPED)", "", "1.5, 3.2", mapped),
    Figure("AnonHugePages", "pages", "mapped by a PMD (NR_ANON_THPS)", "", "1.5, 3.2", anon_huge_pages),
    Figure("FilePmdMapped", "pages", "of files, mapped by a PMD", "", "1.5, 3.2", file_pmd_mapped),
    Figure("PSS", "pages", "smaps: proportional set size", "MM", "3.2, 3.3", pss),
    Figure("USS", "pages", "smaps: Private_*", "MM", "3.2", uss),
    Figure("mapmax", "mappings", "numa_maps: most mappings of a page", "MM", "3.2", mapmax),
    Figure("kpagecount", "mappings", "/proc/kpagecount of a page", "frame", "3.2, 3.3", kpagecount),
)
"""All figures."""

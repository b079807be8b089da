"""What users see in /proc: figures from the policy's counters, and the same figures from the page tables.

See specification 1.5 (statistics), 3.2 (smaps, numa_maps, kpagecount) and 3.3 (the average that may replace a page's
own mapcount). RSS and the charges of memory cgroups do not depend on the policy, and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.consequences.moment import Moment
from foliolab.framework.engine.engine import Engine
from foliolab.framework.engine.procfs import PSS_SHIFT
from foliolab.framework.engine.truth import Counts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """The values of a figure at a moment, each array of shape (values,).

    Attributes:
        given: from the policy's counters.
        right: from the page tables.
        of: the MM or frame of each value; -1 for a value of the whole machine.
    """

    given: Floats
    right: Floats
    of: Counts


@dataclass(frozen=True)
class Figure:
    """A figure that /proc shows.

    Args:
        name: the kernel's name, if there is one; unique among figures.
        per: what has a value of its own: "MM", "frame", or "" for the whole machine.
        section: the section of the specification that describes the figure.
        ask: the values at a moment.
    """

    name: str
    unit: str
    shows: str
    per: str
    section: str
    ask: Callable[[Moment], Shown]


def _of_mms(moment: Moment, given: Sequence[float], right: Sequence[float]) -> Shown:
    return Shown(np.array(given, np.float64), np.array(right, np.float64), np.array(moment.mms, np.int64))


def _of_machine(given: int, right: int) -> Shown:
    return Shown(np.array([given], np.float64), np.array([right], np.float64), np.array([-1]))


def _mapped_pages(moment: Moment, anon: bool) -> int:
    truth = moment.truth
    return int(((truth.page_mapcount > 0) & (moment.anon[truth.heads] == anon)).sum())


def _pmd_mapped(moment: Moment, anon: bool) -> int:
    truth = moment.truth
    by_pmd = truth.pmds.any(axis=0) & (moment.anon == anon)
    return int(truth.nr_pages_of[by_pmd].sum())


def anon_pages(moment: Moment) -> Shown:
    """NR_ANON_MAPPED: anonymous pages that are mapped at least once."""
    return _of_machine(moment.machine.statistic("NR_ANON_MAPPED"), _mapped_pages(moment, True))


def mapped(moment: Moment) -> Shown:
    """NR_FILE_MAPPED: pages of files that are mapped at least once."""
    return _of_machine(moment.machine.statistic("NR_FILE_MAPPED"), _mapped_pages(moment, False))


def anon_huge_pages(moment: Moment) -> Shown:
    """NR_ANON_THPS: pages of anonymous folios that a PMD maps."""
    return _of_machine(moment.machine.statistic("NR_ANON_THPS"), _pmd_mapped(moment, True))


def file_pmd_mapped(moment: Moment) -> Shown:
    """NR_FILE_PMDMAPPED and NR_SHMEM_PMDMAPPED: pages of file folios that a PMD maps."""
    engine: Engine = moment.machine
    given = engine.statistic("NR_FILE_PMDMAPPED") + engine.statistic("NR_SHMEM_PMDMAPPED")
    return _of_machine(given, _pmd_mapped(moment, False))


def _frames(moment: Moment, mm: int) -> Counts:
    """The frames that an MM maps, each as often as it is mapped."""
    frames = moment.views[mm].frames
    return frames[frames >= 0]


def pss(moment: Moment) -> Shown:
    """PSS of smaps: each page divided by how often it is mapped, rounded as in smaps."""
    given = [moment.machine.smaps(mm, *span)[2] for mm, span in moment.spans.items()]
    shares = (1 << PSS_SHIFT) // np.maximum(moment.truth.page_mapcount, 1)
    return _of_mms(moment, given, [float(shares[_frames(moment, mm)].sum()) / (1 << PSS_SHIFT) for mm in moment.mms])


def uss(moment: Moment) -> Shown:
    """Private_* of smaps: pages that are mapped exactly once."""
    given = [moment.machine.smaps(mm, *span)[1] for mm, span in moment.spans.items()]
    private = moment.truth.page_mapcount == 1
    return _of_mms(moment, given, [int(private[_frames(moment, mm)].sum()) for mm in moment.mms])


def mapmax(moment: Moment) -> Shown:
    """mapmax of numa_maps: how often the most often mapped page of an MM is mapped."""
    given = [int(moment.views[mm].counts.max()) for mm in moment.mms]
    right = [int(moment.truth.page_mapcount[_frames(moment, mm)].max()) for mm in moment.mms]
    return _of_mms(moment, given, right)


def kpagecount(moment: Moment) -> Shown:
    """/proc/kpagecount of every mapped page of a large folio."""
    seen = moment.seen
    right = moment.truth.page_mapcount[seen.frame]
    return Shown(seen.kpagecount.astype(np.float64), right.astype(np.float64), seen.frame)


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
"""All figures, in the order of the report."""

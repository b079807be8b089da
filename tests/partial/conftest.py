"""Events one after the other, and detectors that follow them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from foliolab.framework.contract.detector import Detector
from foliolab.framework.partial.result import Detected, Followed
from foliolab.framework.partial.session import PartialRequest, follow
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import NOT_KNOWN, Header, Shows
from foliolab.policies import no_page_mapcount
from foliolab.policies.detectors import DETECTORS

HEAP = 0x7F12_3456_0000 >> 12 & ~511
SECOND = 1_000_000_000
SCHEME = no_page_mapcount.POLICY.with_parameters()
BY_NAME = {detector.name: detector for detector in DETECTORS}


class Script:
    """Events one after the other, a millisecond apart by default."""

    def __init__(self) -> None:
        self.rows: list[dict[str, int]] = []
        self.time = 10 * SECOND

    def __call__(self, kind: int, mm: int = 1, after: int = 1_000_000, **columns: int) -> Script:
        self.time += after
        self.rows.append({"time": self.time, "kind": kind, "mm": mm, **columns})
        return self

    def write(self, path: Path, shows: Shows = NOT_KNOWN, lost: int = 0) -> Path:
        columns = {name: [row.get(name, 0) for row in self.rows] for name in ev.COLUMNS}
        with Writer(path, Header(source="test", shows=shows, lost=lost)) as writer:
            writer.append(ev.columns(**columns))
        return path


@pytest.fixture
def script() -> Script:
    """A folio of 16 pages that a first MM maps whole."""
    return Script()(ev.NEW, page=HEAP, order=4, other=64)


Run = Callable[..., Followed]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Follow a script; options are those of `PartialRequest`, and `shows`."""

    def run(script: Script, shows: Shows = NOT_KNOWN, **options: object) -> Followed:
        path = script.write(tmp_path / "trace", shows)
        given = {"detectors": DETECTORS, "execution": "interpreted", **options}
        result = follow(PartialRequest([str(path)], SCHEME, **given))  # type: ignore[arg-type]
        return result.runs[0]

    return run


def of(run: Followed, name: str | Detector) -> Detected:
    """The figures of one detector in a run."""
    name = name if isinstance(name, str) else name.name
    return next(one for one in run.detected if one.detector == name)

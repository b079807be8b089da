"""A recording as a source of moments: decisions and figures against the page tables, evenly in time."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from foliolab.framework.cli import application
from foliolab.framework.consequences.recording import FromTrace
from foliolab.framework.consequences.result import ConsequencesResult, PolicyOutcome
from foliolab.framework.consequences.session import ConsequencesRequest, follow
from foliolab.framework.plugins.registry import Registry
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import NOT_KNOWN, Header, Shows

HEAP = 0x7F12_3456_0000 >> 12 & ~511
PAGES = 512


def recorded(path: Path, shows: Shows = NOT_KNOWN) -> Path:
    """Three MMs share 512 pages in folios of 16; then only the last one, which never had a slot, has them."""
    rows = [{"kind": ev.NEW, "mm": 1, "page": HEAP + at, "order": 4, "other": 1024 + at} for at in range(0, PAGES, 16)]
    rows += [{"kind": ev.FORK, "mm": 1, "other": 2}, {"kind": ev.FORK, "mm": 1, "other": 3}]
    rows += [{"kind": ev.EXIT, "mm": 1}, {"kind": ev.EXIT, "mm": 2}, {"kind": ev.LOST, "mm": 0, "time": 2_000_000_000}]
    columns = {name: [row.get(name, 0) for row in rows] for name in ev.COLUMNS}
    columns["time"] = [row.get("time", 1000 + number) for number, row in enumerate(rows)]
    with Writer(path, Header(source="test", command="a program", shows=shows)) as writer:
        writer.append(ev.columns(**columns))
    return path


def outcomes(found: Registry, path: Path, moments: int = 4) -> list[PolicyOutcome]:
    schemes = found.parse_policies(["mm-id,no-page-mapcount,exact"])
    askers = [found.askers["khugepaged"]]
    request = ConsequencesRequest([FromTrace(str(path), moments)], schemes, askers, execution="interpreted")
    (source,) = follow(request).sources
    return source.outcomes


def test_a_collapse_is_refused_for_a_false_shared_and_uss_is_wrong(found: Registry, tmp_path: Path) -> None:
    for one in outcomes(found, recorded(tmp_path / "app.folio")):
        assert (one.moments, one.stopped) == (4, "")
        collapse = next(decided for decided in one.decisions if decided.name == "khugepaged")
        assert collapse.asked == 4
        assert collapse.held_back == (0 if one.policy.startswith("exact") else 4)
        uss = next(figured for figured in one.figures if figured.name == "USS")
        assert (uss.values, uss.largest) == (4, PAGES if one.policy == "no-page-mapcount" else 0)


def test_a_trace_that_cannot_tell_what_is_mapped_is_not_followed(found: Registry, tmp_path: Path) -> None:
    for one in outcomes(found, recorded(tmp_path / "app.folio", Shows(allocations=False, ranges=False))):
        assert one.moments == 0
        assert one.stopped == "the trace cannot tell: its source shows no allocations, ranges"


def test_the_command_takes_a_trace(tmp_path: Path) -> None:
    trace, out = recorded(tmp_path / "app.folio"), tmp_path / "out.json"
    words = ["consequences", str(trace), "--moments", "2", "--policies", "mm-id", "--json", str(out)]
    done = CliRunner().invoke(application(), [*words, "--execution", "interpreted"])
    assert done.exit_code == 0, done.output
    (source,) = ConsequencesResult.load(out).sources
    assert (source.name, source.summary) == ("app.folio", "recorded: a program.")
    assert source.outcomes[0].moments == 2


@pytest.mark.parametrize("text", [b"", b"FOLIOTRC"])
def test_a_file_that_is_no_trace(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "app.folio").write_bytes(text)
    done = CliRunner().invoke(application(), ["consequences", str(tmp_path / "app.folio")])
    assert done.exit_code != 0
    assert done.exception is not None

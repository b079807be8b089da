"""`foliolab partial` and `foliolab report` of its results, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.partial.conftest import HEAP, SCHEME, SECOND, Run, Script
from typer.testing import CliRunner

from foliolab.framework.cli import application
from foliolab.framework.errors import FolioLabError, NothingMeasured, ResultFileError, TraceFileError, UsageError
from foliolab.framework.partial.result import PartialResult
from foliolab.framework.partial.session import PartialRequest, follow
from foliolab.framework.report import partial as report
from foliolab.framework.report import result_files
from foliolab.framework.report.studies import document_page, table, title
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.header import Shows
from foliolab.policies.detectors import DETECTORS

MS = 1_000_000


def command(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(application(), ["partial", *map(str, words), "--execution", "interpreted"])
    if isinstance(done.exception, FolioLabError):
        raise done.exception
    return done.exit_code, done.stdout


def forked(script: Script, nr: int) -> Script:
    script(ev.FORK, other=2)(ev.UNMAP, page=HEAP, nr=nr)(ev.UNMAP, mm=2, page=HEAP, nr=nr)
    return script(ev.EXIT, after=3 * SECOND)(ev.EXIT, mm=2)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs of a program: 4 and then 6 pages are unmapped by both of its MMs."""
    made = []
    for number, nr in enumerate((4, 6)):
        script = Script()(ev.NEW, page=HEAP, order=4, other=64)
        made.append(forked(script, nr).write(tmp_path / f"app-{number + 1}.folio"))
    return made


def test_the_report_has_the_answer_each_detector_and_what_is_assumed(runs: list[Path], tmp_path: Path) -> None:
    code, text = command(*runs, "--pressure", 2, "--looks", 7, "--json", tmp_path / "out.json")
    assert code == 0
    assert "2 runs" in text
    assert "6 times mappings of a large folio were removed" in text
    for detector in DETECTORS:
        assert f"{detector.name}: {detector.summary}" in text
    assert "memory is short every 2 s" in text
    assert "7 folios at most" in text
    assert "no-page-mapcount" in text
    result = PartialResult.load(tmp_path / "out.json")
    assert [run.page_ns for run in result.runs] == [4 * (3 * SECOND + MS), 6 * (3 * SECOND + MS)]
    assert result.values("page-mapcounts", "freed_pages") == [4, 6]


def test_a_choice_of_detectors(runs: list[Path]) -> None:
    _, text = command(runs[0], "--detectors", "walk-on-demand,page-mapcounts")
    assert "walk-on-demand" in text
    assert "queue-doubtful" not in text


def test_other_formats_and_the_difference(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command(*runs, "--json", out)
    result = result_files.load(out)
    assert isinstance(result, PartialResult)
    assert "partially mapped folios of app-1.folio" in title(result)
    page = str(document_page(result).__dict__)
    assert "walk-on-demand" in page
    lines = table(result).splitlines()
    assert len(lines) == 1 + len(runs) * len(DETECTORS)
    assert lines[0].startswith("run,detector,page_ns")
    assert result.figures is not None
    assert result.figures.values[("page-mapcounts", "memory stranded, page ns")] > 0


@pytest.mark.parametrize("kind", ["allocations", "faults", "ranges"])
def test_what_a_trace_cannot_show_is_unknown(script: Script, tmp_path: Path, kind: str) -> None:
    path = forked(script, 4).write(tmp_path / "trace", Shows(**{kind: False}))
    _, text = command(path)
    assert "the recording cannot tell" in text
    assert "This trace cannot tell" in text
    row = next(line for line in text.splitlines() if line.startswith("walk-on-demand "))
    assert row.split()[1:] == ["unknown"] * 12


def test_without_times_only_what_is_in_doubt_is_known(script: Script, run: Run) -> None:
    found = run(forked(script, 4), Shows(times=False))
    assert (found.removals, found.doubtful, found.partial, found.page_ns) == (3, 2, 1, None)
    for one in found.detected:
        assert all(getattr(one, name) is None for name in one.__struct_fields__ if name != "detector")


def test_a_trace_without_large_folios_says_so(tmp_path: Path) -> None:
    path = Script()(ev.NEW, page=HEAP, order=0, other=64)(ev.EXIT).write(tmp_path / "trace")
    _, text = command(path)
    assert "no large folio was allocated" in text


def test_spreads_and_their_texts() -> None:
    assert report.spread([]) == "unknown"
    assert report.spread([3]) == "3"
    assert report.spread([1, 4, 1000]) == "4 (1 … 1,000)"
    assert report.spread([1, 2]) == "1.5 (1 … 2)"
    assert report.mib_s(256 * 10**9) == "1"
    assert report.bounds("0", "0") == "0"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--detectors", "walk"), "no detector 'walk'"),
        (("--detectors", ","), "no detector is named"),
        (("--teardown", "auto"), "no teardown 'auto'"),
        (("--policy", "none-such"), "no policy 'none-such'"),
        (("--pressure", "1e-6"), "memory would be short"),
    ],
)
def test_what_cannot_be_asked(runs: list[Path], words: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        command(runs[0], *words)


def test_bad_files(tmp_path: Path) -> None:
    empty = Script().write(tmp_path / "empty")
    with pytest.raises(NothingMeasured, match="no events"):
        command(empty)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(TraceFileError):
        command(tmp_path / "text")
    with pytest.raises(TraceFileError):
        command(tmp_path / "none")


def test_a_result_with_other_detectors_is_refused(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    follow(PartialRequest([str(runs[0])], SCHEME, DETECTORS, execution="interpreted")).save(out)
    text = json.loads(out.read_text())
    text["runs"][0]["detected"].pop()
    out.write_text(json.dumps(text))
    with pytest.raises((UsageError, ResultFileError), match="other detectors"):
        PartialResult.load(out)

"""Reports of precision and consequences: the terminal's tables as documents, and the figures as rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from test_report_files import Reader, foliolab

from foliolab.framework.consequences.result import ConsequencesResult
from foliolab.framework.precision.result import PrecisionResult
from foliolab.framework.report import result_files, studies
from foliolab.framework.report.pages import document
from foliolab.framework.report.pages.document import DocumentPage, Grid
from foliolab.framework.report.pages.page import Column, Words

COMMANDS = {
    "precision": ("precision", "last-child", "daemons", "--policies", "page-mapcount,mm-id,exact", "--mms", "1,2,3"),
    "consequences": (
        "consequences",
        "last-child",
        "--policies",
        "page-mapcount,mm-id",
        "--mms",
        "3",
        "--moments",
        "20",
    ),
}


@pytest.fixture(scope="module", params=COMMANDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    done = foliolab(*COMMANDS[request.param], "--json", "result.json", folder=folder)
    assert (folder / "result.json").is_file(), done.stderr
    return folder


def result_of(folder: Path) -> PrecisionResult | ConsequencesResult:
    found = result_files.load(folder / "result.json")
    assert isinstance(found, PrecisionResult | ConsequencesResult)
    return found


def test_the_document_has_every_table_and_how_to_repeat_it(made: Path) -> None:
    text = foliolab("report", "result.json", folder=made).stdout
    result = result_of(made)
    grids = [part for part in studies.document_page(result).parts if isinstance(part, Grid)]
    assert grids and sum(line.startswith("|--") or line.startswith("|---") for line in text.splitlines()) == len(grids)
    assert f"`{result.command}`" in text and result.kernel.split()[0] in text
    for grid in grids:
        assert all(len(row) == len(grid.headings) for row in grid.rows)
        for row in grid.rows:
            assert " ".join(row[0].text.split()).replace("|", "\\|").replace("<", "&lt;") in text


def test_the_page_needs_nothing_else(made: Path) -> None:
    assert foliolab("report", "result.json", "--format", "html", folder=made).stdout == "written: result.html\n"
    text = (made / "result.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert all(link.startswith("#") and link[1:] in reader.places for link in reader.links)
    assert "http" not in text and "url(" not in text and "prefers-color-scheme: dark" in text and "@media print" in text


def test_rows_hold_the_figures(made: Path) -> None:
    assert foliolab("report", "result.json", "-o", "out.csv", folder=made).returncode == 0
    rows = list(csv.DictReader(io.StringIO((made / "out.csv").read_text())))
    result = result_of(made)
    if isinstance(result, PrecisionResult):
        wanted = {(p.workload, str(p.mms), p.policy): str(p.false_shared.ops) for p in result.points}
        assert {(row["workload"], row["mms"], row["policy"]): row["false_shared_ops"] for row in rows} == wanted
        assert any(int(row["false_shared_ops"]) for row in rows if row["policy"] == "mm-id")
    else:
        held = {
            (source.name, one.policy, asker.name): str(asker.held_back)
            for source in result.sources
            for one in source.outcomes
            for asker in one.decisions
        }
        found = {(r["source"], r["policy"], r["name"]): r["held_back"] for r in rows if r["of"] == "decision"}
        assert found == held and len(rows) > len(held)


def test_what_there_is_no_picture_or_baseline_of_is_said(made: Path) -> None:
    for words, says in (("-o", "x.svg"), "there is no picture"), (("--baseline", "mm-id"), "has no baseline"):
        done = foliolab("report", "result.json", *words, folder=made)
        assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not (made / "x.svg").exists()


def test_what_is_written_cannot_break_out() -> None:
    page = DocumentPage()
    page.line("a <b> | c", "strong bad")
    page.tables(
        "t <i>", [Column("x|y", [page.text("<script>|\n2", "quiet")])], [[Column("n", [page.text("3")], right=True)]]
    )
    assert page.parts[0] == Words((("a <b> | c", "strong bad"),))
    repeat = [("command", "foliolab x"), ("kernel", "<k>")]
    text, whole = document.markdown(page, "T", repeat), document.html(page, "T", repeat)
    assert "**a &lt;b> \\| c**" in text and "| &lt;script>\\| 2 | 3 |" in text and "|---|--:|" in text
    assert "<script>" not in whole and 'class="bad word"' in whole and "&lt;script&gt;" in whole

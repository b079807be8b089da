"""Reports of a result file: golden files, a page that needs nothing else, pictures, and what cannot be reported."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from golden import GOLDEN, HERE, found

from foliolab.framework.report import result_files
from foliolab.framework.report.comparison import html, markdown, terminal
from foliolab.framework.report.comparison.matrix import matrix
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.results import comparison, difference
from foliolab.framework.results.result import Failure, Result

VOID = {"meta", "br", "link", "img", "hr", "input", "circle", "line", "path"}


@pytest.mark.parametrize("name", GOLDEN)
def test_what_is_written_is_what_was_looked_at(name: str) -> None:
    assert GOLDEN[name]() == (HERE / name).read_text(), "look at it, then python tests/report/golden.py"


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.links += [str(given[name]) for name in ("href", "src") if name in given]
        self.places |= {str(given["id"])} if "id" in given else set()
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"{tag} closes something else"


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    text = (HERE / "report.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert all(link.startswith("#") and link[1:] in reader.places for link in reader.links), "it opens offline"
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text
    one = found()
    assert text.index('class="matrix"') < text.index('id="why"') < text.index('id="repeat"')
    assert reader.tags.count("details") == len(one.policies) * len(one.workloads)
    for policy in one.policies:
        for workload in one.workloads:
            assert one.cells[policy, workload].word in text
    assert one.result.command.replace("'", "&#39;") in text and one.result.kernel.split()[0] in text


def test_published_figures_stand_beside_the_measured_ones() -> None:
    assert "published" in (HERE / "report.html").read_text() and "| published |" in (HERE / "report.md").read_text()


def test_what_was_not_measured_is_said_first() -> None:
    result = Result.load(HERE / "first.json")
    cells = [cell for cell in result.cells if not (cell.policy == "mm-id" and cell.workload == "fork")]
    lost = msgspec.structs.replace(
        result, cells=cells, failures=[Failure(policy="mm-id", workload="fork", size_kib=16, message="a <b> | failed")]
    )
    one = matrix(lost, comparison.compare(lost))
    assert one.cells["mm-id", "fork"].word == "not measured" and "1 not measured" in one.headline
    page, text = html.html(one), markdown.markdown(one)
    assert page.index("not measured: mm-id under fork") < page.index('class="matrix"')
    assert "a &lt;b&gt; | failed" in page and "a &lt;b> \\| failed" in text
    assert "**not measured**: mm-id under fork" in text


def test_a_larger_struct_page_and_refuted_claims_are_said() -> None:
    result = Result.load(HERE / "first.json")
    cells = [
        msgspec.structs.replace(
            cell, counted={**cell.counted, "struct_page_bytes": 128.0 if cell.policy == "mm-id" else 64.0}
        )
        for cell in result.cells
    ]
    larger = msgspec.structs.replace(result, cells=cells)
    one = matrix(larger, comparison.compare(larger), ["mm-id: safe refuted"])
    grown = "mm-id makes struct page 128 bytes instead of 64: 16 MiB more for each GiB of memory, whatever uses it"
    assert one.notes[:2] == ["mm-id: safe refuted", grown]
    for text in (html.html(one), markdown.markdown(one)):
        assert grown in text and "mm-id: safe refuted" in text
    console = TerminalPage(file := io.StringIO())
    terminal.render(larger, comparison.compare(larger), console)
    assert f"Note: {grown}" in file.getvalue() and "bytes/struct page" in file.getvalue()


def test_another_baseline_is_followed() -> None:
    result = Result.load(HERE / "first.json")
    one = matrix(result, comparison.compare(result, "mm-id"))
    assert one.baseline == "mm-id" and one.cells["mm-id", "fork"].word == "baseline"
    assert "Against mm-id" in one.headline


# -- the commands ------------------------------------------------------------------------------------
def foliolab(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foliolab.framework.cli", *words], capture_output=True, text=True, cwd=folder,
        check=False, timeout=120,
    )  # fmt: skip


def test_pictures_say_what_they_show(tmp_path: Path) -> None:
    done = foliolab("report", str(HERE / "first.json"), "-o", "curves.svg", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "curves.svg").read_text()
    ElementTree.fromstring(text)
    for word in ("munmap", "fork", "reuse", "mm-id", "no-page-mapcount", "time, relative to page-mapcount", "64 KiB"):
        assert word in text
    again = foliolab("report", str(HERE / "first.json"), "-o", "again.svg", folder=tmp_path)
    assert again.returncode == 0 and (tmp_path / "again.svg").read_text() == text, "the same result, the same bytes"
    assert foliolab("report", str(HERE / "first.json"), "-o", "curves.png", folder=tmp_path).returncode == 0
    head = (tmp_path / "curves.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n" and int.from_bytes(head[16:20], "big") > 1000


def without_verdicts(text: str) -> str:
    """A report without what it says of refuted claims, which changes with each version of the verifier."""
    return re.sub(r'^- [^\n]* refuted [^\n]*\n|<p class="quiet">[^<]* refuted [^<]*</p>', "", text, flags=re.MULTILINE)


def test_markdown_goes_to_the_terminal_and_the_rest_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes((HERE / "first.json").read_bytes())
    done = foliolab("report", "r.json", folder=tmp_path)
    assert without_verdicts(done.stdout) == (HERE / "report.md").read_text()
    assert foliolab("report", "r.json", "--format", "html", folder=tmp_path).stdout == "written: r.html\n"
    assert without_verdicts((tmp_path / "r.html").read_text()) == (HERE / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["report", "none.json"], "none.json"),
        (["report", str(HERE / "first.json"), "--format", "pdf"], "formats are"),
        (["report", str(HERE / "first.json"), "-o", "no/such/place.md"], "no folder"),
        (["report", str(HERE / "first.json"), "--baseline", "exact"], "exact"),
        (["diff", str(HERE / "first.json"), "none.json"], "none.json"),
    ],
)
def test_what_cannot_be_reported(tmp_path: Path, words: list[str], says: str) -> None:
    done = foliolab(*words, folder=tmp_path)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr


def test_a_difference_fails_where_something_exact_is_worse(tmp_path: Path) -> None:
    first, second = HERE / "first.json", HERE / "second.json"
    done = foliolab("diff", str(first), str(second), folder=tmp_path)
    assert done.returncode == 0 and "all the same" in done.stdout and "never fail a comparison" in done.stdout
    worse = re.sub(r'"atomics": ?([0-9.]+)', '"atomics":0.5', first.read_text())
    (tmp_path / "before.json").write_text(worse)
    done = foliolab("diff", "before.json", str(second), folder=tmp_path)
    assert done.returncode == 1 and "higher" in done.stdout and "atomics" in done.stdout
    better = foliolab("diff", str(second), "before.json", folder=tmp_path)
    assert better.returncode == 0 and "lower" in better.stdout


def test_counted_metrics_are_cases_of_their_own() -> None:
    one = result_files.load(HERE / "first.json")
    assert isinstance(one, Result)
    found = difference.difference(one, one)
    assert len(found.counted) == sum(len(cell.counted) for cell in one.cells) and not found.worse
    assert {case.word for case in found.counted} == {"same"}

"""The reports: a small one word by word, every terminal and encoding, and the CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from foliolab.framework.errors import ResultFileError
from foliolab.framework.host import HostInfo
from foliolab.framework.plugins.published import Published
from foliolab.framework.report.comparison import csvfile, terminal
from foliolab.framework.report.pages.terminal import PIPE_WIDTH, TerminalPage
from foliolab.framework.results.comparison import compare
from foliolab.framework.results.result import Cell, Config, Failure, Result

BASE = "page-mapcount"
SAMPLES = [10.0, 10.1, 9.9, 10.2, 9.8, 10.05, 9.95, 10.15]


def result(policies: Sequence[str] = (BASE, "mm-id"), **others: Any) -> Result:
    cells = []
    for policy in policies:
        factor = 1.0 if policy == BASE else 0.75
        for size in (16, 2048):
            counted = {"atomics": 1 + 4 * factor / size, "cache_lines": 1.0, "bits_per_folio": 64.0 * factor}
            flagged = [3] if size == 16 and policy != BASE else []
            samples = [sample * factor for sample in SAMPLES]
            cells.append(
                Cell(
                    workload="munmap",
                    size_kib=size,
                    policy=policy,
                    samples=samples,
                    flagged=flagged,
                    counted=counted,
                )
            )
        cells.append(Cell(workload="remap", size_kib=16, policy=policy, status="skipped", reason="PMD only"))
    cells.append(Cell(workload="remap", size_kib=2048, policy=BASE, samples=SAMPLES))
    cells.append(Cell(workload="remap", size_kib=2048, policy="mm-id", status="failed", reason="it raised"))
    fields: dict[str, Any] = {
        "complete": False,
        "command": "foliolab compare --workloads munmap,remap",
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
        "config": Config(
            policies=list(policies),
            policy_parameters={},
            baseline=BASE,
            workloads=["munmap", "remap"],
            sizes=[16, 2048],
            memory=1 << 30,
            repeats=8,
            seed=7,
            quick=False,
        ),
        "machine": HostInfo(cpu="a CPU", cores=2, memory_bytes=1 << 33, os="an OS"),
        "versions": {"foliolab": "0.1.0"},
        "kernel": "6.15",
        "git": "abc",
        "cells": cells,
        "failures": [Failure(policy="mm-id", workload="remap", size_kib=2048, message="it raised\n  in mine.py:3")],
        "notes": ["raw time"],
    }
    return Result(**(fields | others))


def figure(size_kib: int, percent: float, **others: Any) -> Published:
    fields: dict[str, Any] = {"source": "V1 (id)", "machine": "a Xeon", "policy": "mm-id", "baseline": BASE}
    return Published(workload="munmap", size_kib=size_kib, percent=percent, **(fields | others))


FIGURES = (figure(16, 2), figure(2048, -31))


def rendered(found: Result, console: Console | None = None, encoding: str = "utf-8") -> str:
    """The report as it arrives in a file, without the blanks that fill its lines."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    if console is not None:
        console.file = file
    terminal.render(found, compare(found, published=FIGURES), TerminalPage(console or file))
    file.flush()
    return "\n".join(line.rstrip() for line in raw.getvalue().decode(encoding).splitlines())


GOLDEN = """\
munmap: time against page-mapcount
        page-mapcount  mm-id                                    published
  size  ns/page        ns/page  change 95 % interval verdict       a Xeon
──────────────────────────────────────────────────────────────────────────
16 KiB    10.03           7.52 −25.0 % −25.0 … −25.0 ▼ faster*       +2 %
 2 MiB    10.03           7.52 −25.0 % −25.0 … −25.0 ▼ faster       −31 %
  * mm-id at 16 KiB: 1 of 8 rounds flagged
  published: V1 (id); a Xeon

remap: time against page-mapcount
       page-mapcount  mm-id
 size  ns/page        ns/page change 95 % interval verdict
──────────────────────────────────────────────────────────────────
2 MiB    10.03              –                      ✗ not measured
  not at 16 KiB: PMD only

Counted exactly, from the interpreted execution
        counted                           16 KiB    2 MiB
──────────────────────────────────────────────────────────
munmap  atomics/page      page-mapcount    1.250    1.002
        atomics/page      mm-id          1.188 −  1.001 −
        cache lines/page  all              1.000    1.000

memory  bits/folio        page-mapcount       64       64
        bits/folio        mm-id             48 −     48 −
  beside a number: + more, − less, = as many as page-mapcount

Verdicts against page-mapcount
  mm-id: 2 faster, 1 not measured
  Faster, slower: significant at 5 % by the U test, Holm-corrected for 2 tests.
  Same: the interval is within ±5 % of no change.

Partial: the run was interrupted; what was measured until then is shown.
Failed (mm-id, remap, 2 MiB): it raised
  in mine.py:3
Not measured: it raised (remap, 2 MiB, mm-id)
Note: raw time
a CPU, 2 cores, 8.0 GiB, an OS, Linux 6.15
foliolab 0.1.0, commit abc
1024 MiB, 8 rounds, seed 7, 2026-01-01T00:00:00+00:00 to 2026-01-01T00:01:00+00:00
Repeat it: foliolab compare --workloads munmap,remap
"""


def test_a_small_report() -> None:
    assert rendered(result()) + "\n" == GOLDEN


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_that_is_not_utf_8(encoding: str) -> None:
    text = rendered(result(notes=["5 µs – ☂"], git="…"), encoding=encoding)
    assert text.replace("\n", "").isascii() or encoding == "latin-1"
    for words in ("-25.0 % -25.0 .. -25.0 v faster*", "x not measured", "a Xeon", "- less", "Note: 5 us - ?"):
        assert words in text.replace("µ", "u")


def test_a_pipe_gets_no_colour_and_no_wrapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = "word " * 60
    text = rendered(result(notes=[long]))
    assert "\x1b" not in text
    assert f"Note: {long.rstrip()}" in text
    assert max(len(line) for line in text.splitlines() if "│" in line or "ns/page" in line) <= PIPE_WIDTH


@pytest.mark.parametrize("no_color", [True, False])
def test_colour_is_only_ever_besides(monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console(force_terminal=True, width=120, no_color=no_color, color_system="standard")
    text = rendered(result(), console)
    assert ("\x1b[32m▼ faster" in text) is not no_color
    assert "▼ faster" in text and "✗ not measured" in text


def test_a_narrow_terminal_gets_more_tables_and_loses_nothing() -> None:
    policies = (BASE, "mm-id", "exact", "rmap-id:stage=all", "mm-id-v1:a=1,b=2,c=3,d=4,e=5")
    console = Console(force_terminal=True, width=80, color_system=None)
    text = rendered(result(policies), console)
    tables = [part for part in text.split("\n\n") if part.startswith("munmap: time")]
    assert len(tables) == 4
    assert text.count("▼ faster") == 8
    for table in tables:
        assert max(len(line) for line in table.splitlines() if "published:" not in line) <= 80
        assert "10.03" in table  # the baseline stands in each of them
    wide = rendered(result(policies), Console(width=400))
    assert wide.count("munmap: time") == 1


def test_figures_of_several_machines_have_a_column_each() -> None:
    figures = [
        figure(16, -1.5),
        figure(16, 27, meaning="speed-up", source="NPM (id)", machine="", note="what it means"),
        figure(2048, 1, meaning="below", source="LM (id)", machine="EPYC"),
    ]
    console = TerminalPage(file := io.StringIO())
    terminal.render(result(), compare(result(), published=figures), console)
    text = file.getvalue()
    assert text.count("published ") >= 3
    for words in ("−1.5 %", "speed-up 27 %", "< 1 %", "NPM", "EPYC", "published: NPM (id); what it means"):
        assert words in text


def test_names_are_text_and_never_markup() -> None:
    text = rendered(result(notes=["[red]not markup[/red] :smile: \x1b[31mred \x07"]))
    assert "[red]not markup[/red] :smile: \\x1b[31mred \\x07" in text


def test_another_baseline_and_an_empty_result() -> None:
    found = result()
    console = TerminalPage(file := io.StringIO())
    terminal.render(found, compare(found, "mm-id"), console)
    assert "munmap: time against mm-id" in file.getvalue() and "▲ slower" in file.getvalue()
    text = rendered(result(cells=[]))
    assert "✗ not measured" in text and "Not measured: the run did not get to it" in text


def test_a_pipe_that_closed_is_the_callers_to_handle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    found = result()
    with (tmp_path / "out").open("w") as own:  # rich lets what stands behind sys.stdout go nowhere
        monkeypatch.setattr("sys.stdout", own)
        with pytest.raises((BrokenPipeError, SystemExit)):
            terminal.render(found, compare(found), TerminalPage(Closed()))


def test_the_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    csvfile.write(compare(result()), path)
    text = path.read_text("utf-8")
    assert text.splitlines()[0] == "workload,size_kib,policy,ns_per_page,ratio,ratio_low,ratio_high,verdict"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["workload"], row["size_kib"], row["policy"]) for row in rows] == [
        (workload, size, policy)
        for workload in ("munmap", "remap")
        for size in ("16", "2048")
        for policy in (BASE, "mm-id")
    ]
    assert rows[0]["verdict"] == "baseline" and float(rows[0]["ratio"]) == 1
    assert rows[1]["verdict"] == "faster" and float(rows[1]["ratio"]) == 0.75
    assert rows[-1] | {"policy": ""} == {
        "workload": "remap",
        "size_kib": "2048",
        "policy": "",
        "ns_per_page": "",
        "ratio": "",
        "ratio_low": "",
        "ratio_high": "",
        "verdict": "not measured",
    }
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


def test_the_csv_file_quotes_and_says_where_it_cannot_be_written(tmp_path: Path) -> None:
    found = result((BASE, "mm-id", "rmap-id:stage=all,bits=3"))
    csvfile.write(compare(found), tmp_path / "rows.csv")
    policies = {row["policy"] for row in csv.DictReader((tmp_path / "rows.csv").open(encoding="utf-8"))}
    assert "rmap-id:stage=all,bits=3" in policies
    with pytest.raises(ResultFileError, match="cannot be written"):
        csvfile.write(compare(found), tmp_path / "none" / "rows.csv")

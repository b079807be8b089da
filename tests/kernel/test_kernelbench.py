"""A kernel bench with modelled times and published figures: rows, report, CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from foliolab.framework.errors import UsageError
from foliolab.framework.host import describe_host
from foliolab.framework.kernel import bench_rows
from foliolab.framework.plugins.published import Published
from foliolab.framework.plugins.registry import Registry, load
from foliolab.framework.report import kernelbench as report
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.results.provenance import now
from foliolab.framework.results.result import Cell, Config, Result

MIB = 1 << 20


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def made(kind: str, policy: str, figures: dict[tuple[str, int], list[float]], **parameters: int) -> Result:
    workloads, sizes = zip(*figures, strict=True)
    return Result(
        kind=kind,
        complete=True,
        command="foliolab …",
        started=now(),
        finished=now(),
        config=Config(
            policies=[policy],
            policy_parameters={policy: parameters},
            baseline=policy,
            workloads=list(dict.fromkeys(workloads)),
            sizes=list(dict.fromkeys(sizes)),
            memory=8 * MIB,
            repeats=3,
            seed=1,
            quick=False,
        ),
        machine=describe_host(),
        versions={},
        kernel="6.18",
        git="",
        cells=[
            Cell(workload=w, size_kib=s, policy=policy, samples=f) for (w, s), f in figures.items() if f
        ],
        notes=["a note"],
    )  # fmt: skip


MEASURED = {
    ("cow-byte", 4): [100.0, 120.0, 90.0],
    ("cow-byte", 64): [100.0],
    ("reuse-byte", 4): [40.0],
    ("reuse-byte", 64): [30.0, 20.0, 10.0, 40.0],
    ("remap", 4): [],
    ("remap", 64): [],
}
FIGURES = [
    Published(
        source="V1 (mail)",
        machine="Xeon",
        workload="reuse-byte",
        size_kib=64,
        policy=policy,
        baseline="base",
        percent=p,
    )
    for policy, p in (("mm-id", -64.0), ("rmap-id", -1.0))
]


def test_rows(registry: Registry) -> None:
    scheme = registry.policy("mm-id")
    model = made("compare", "mm-id", {("reuse-byte", 64): [3.0, 5.0, 4.0]}, **dict(scheme.values))
    rows = bench_rows.rows(made("kernel-bench", "linux", MEASURED), scheme, model, FIGURES)
    found = {(row.workload, row.size_kib): row for row in rows}
    assert list(found) == [(w, s) for w in ("cow-byte", "reuse-byte", "remap") for s in (4, 64)]
    row = found["reuse-byte", 64]
    assert (row.ns_per_page, row.least, row.rounds) == (25.0, 10.0, 4)
    assert row.spread == pytest.approx((32.5 - 17.5) / 25)
    assert (row.against_small, row.against_copy, row.model_ns_per_page) == (0.625, 0.25, 4.0)
    assert [figure.policy for figure in row.published] == ["mm-id"]
    assert found["cow-byte", 64].against_copy is None
    assert (found["remap", 64].ns_per_page, found["remap", 64].reason) == (None, "the run did not get to it")


def test_a_model_that_does_not_fit(registry: Registry) -> None:
    bench_result = made("kernel-bench", "linux", MEASURED)
    other = made("compare", "rmap-id", {("reuse-byte", 64): [3.0]})
    with pytest.raises(UsageError, match="has no mm-id") as fault:
        bench_rows.rows(bench_result, registry.policy("mm-id"), other)
    assert "foliolab compare --policies mm-id" in fault.value.hint
    with pytest.raises(UsageError, match="no policy models this kernel"):
        bench_rows.rows(bench_result, None, other)
    assert all(row.model_ns_per_page is None for row in bench_rows.rows(bench_result, None))


def rendered(rows: list[bench_rows.BenchRow], encoding: str = "utf-8") -> str:
    binary = io.BytesIO()
    file = io.TextIOWrapper(binary, encoding)
    report.render(made("kernel-bench", "linux", MEASURED), rows, TerminalPage(Console(file=file, width=160)), "mm-id")
    file.flush()
    return binary.getvalue().decode(encoding)


def test_the_report_shows_them(registry: Registry, tmp_path: Path) -> None:
    scheme = registry.policy("mm-id")
    model = made("compare", "mm-id", {("reuse-byte", 64): [3.0, 5.0, 4.0]}, **dict(scheme.values))
    rows = bench_rows.rows(made("kernel-bench", "linux", MEASURED), scheme, model, FIGURES)
    text = rendered(rows)
    line = next(line for line in text.partition("reuse-byte: the running kernel")[2].splitlines() if "64 KiB" in line)
    assert line.split() == ["64", "KiB", "25.00", "10.00", "60", "%", "0.62", "×", "−75.0", "%", "4.00", "−64", "%"]
    assert "not at 4 KiB, 64 KiB: the run did not get to it" in text
    assert "published: V1 (mail), mm-id against base; Xeon" in text
    assert "Note: a note" in text
    assert "×" not in rendered(rows, "ascii")
    report.write_csv(rows, tmp_path / "bench.csv")
    lines = list(csv.DictReader((tmp_path / "bench.csv").open()))
    assert (len(lines), lines[3]["ns_per_page"], lines[3]["model_ns_per_page"]) == (6, "25", "4")
    assert (lines[5]["workload"], lines[5]["ns_per_page"]) == ("remap", "")

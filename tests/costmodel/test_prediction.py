"""Predictions on a processor: the counts of model and kernel, what has none, and the distance from what was found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from foliolab.framework.costmodel import kernels
from foliolab.framework.costmodel.formula import Span, Unpredicted
from foliolab.framework.costmodel.kernels import CountedKernel
from foliolab.framework.costmodel.prediction import NOT_COUNTED, ProcessorForecast, predict, score
from foliolab.framework.costmodel.processors import Constant, Processor
from foliolab.framework.errors import ResultFileError
from foliolab.framework.host import HostInfo
from foliolab.framework.plugins.published import Published
from foliolab.framework.report.processor import explanation
from foliolab.framework.results.comparison import compare
from foliolab.framework.results.result import Cell, Config, Result

BASE, OWN = "page-mapcount", "mm-id"
MACHINE = HostInfo(cpu="a CPU", cores=2, memory_bytes=1 << 33, os="an OS")
METRICS = ("instructions", "locked", "cache_lines", "copied_pages")

Counted = Mapping[tuple[str, int, str], tuple[float, float, float, float] | None]
"""By workload, size and policy: instructions, locked ones, lines and copied pages a page; None: not counted."""


def comparison(counted: Counted, ns: float = 10.0) -> Result:
    """A comparison in which each cell takes the same time."""
    policies = list(dict.fromkeys(policy for _, _, policy in counted))
    cells = [
        Cell(
            workload=workload,
            size_kib=size,
            policy=policy,
            samples=[ns] * 9,
            counted=dict(zip(METRICS, counts, strict=True)) if counts else {"atomics": 1.0},
        )
        for (workload, size, policy), counts in counted.items()
    ]
    config = Config(
        policies=policies,
        policy_parameters={policy: {} for policy in policies},
        baseline=policies[0],
        workloads=list(dict.fromkeys(cell.workload for cell in cells)),
        sizes=sorted({cell.size_kib for cell in cells}),
        memory=512 << 20,
        repeats=9,
        seed=1,
        quick=False,
    )
    fields: dict[str, Any] = {"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:01:00+00:00"}
    return Result(
        complete=True, command="foliolab compare", config=config, machine=MACHINE, versions={}, kernel="6.18.1-test",
        git="", cells=cells, **fields,
    )  # fmt: skip


@pytest.fixture
def processor() -> Processor:
    """A processor on which an instruction costs 0.2 to 0.4 cycles, a locked one 20, and a copy is not known."""
    ranges = {"instruction": (0.2, 0.4), "locked": (20.0, 20.0), "line": (10.0, 30.0), "fault": (1000.0, 1000.0)}
    constants = {term: Constant(range=one, unit="cycles", source="a test") for term, one in ranges.items()}
    return Processor(name="one", described="One", cpu="a 1 1", constants=constants)


def counts_file(path: Path, cells: list[dict[str, Any]], **others: Any) -> Path:
    """A file as `foliolab kernel count --json` writes it."""
    kernel = {"name": "7.3", "release": "7.3.4-test", "policy": OWN, "described": "a kernel", "qemu": "9.2"}
    document = {"kind": "kernel-counts", "schema": 1, "complete": True, "kernels": [kernel], "cells": cells}
    path.write_text(json.dumps(document | others))
    return path


def counted_cell(
    workload: str, size_kib: int, instructions: int, locked: int, stored: int = 0, near: int = 1000
) -> dict[str, Any]:
    """A cell of such a file over 1000 pages, with two functions and the cost of a call without pages."""
    counts = {"instructions": instructions + 400, "locked": locked, "string_stored": stored, "loads": 7, "near": near}
    functions = {"folio_remove_rmap_ptes": counts, "do_munmap": {"instructions": 100, "locked": 2}}
    return {
        "kernel": "7.3", "workload": workload, "size_kib": size_kib, "pages": 1000, "status": "measured", "reason": "",
        "exact": True, "functions": functions, "bare": {"do_munmap": {"instructions": 500, "locked": 2}},
    }  # fmt: skip


MUNMAP: Counted = {("munmap", 64, BASE): (40.0, 2.0, 1.0, 0.0), ("munmap", 64, OWN): (30.0, 1.0, 1.0, 0.0)}


def forecast(
    result: Result, processor: Processor, counted: list[CountedKernel] | None = None, published: float | None = None
) -> ProcessorForecast:
    figures = [] if published is None else [
        Published(source="V1", machine="a Xeon", workload="munmap", size_kib=64, policy=OWN, baseline=BASE,
                  percent=published)
    ]  # fmt: skip
    rows = compare(result, published=figures)
    return predict(result, rows, processor, 3, counted or [], lambda policy: policy == OWN, here=True)


def test_modelled_counts_times_constants(processor: Processor) -> None:
    result = comparison(MUNMAP)
    found = forecast(result, processor)
    assert found.whole == {} and list(found.modelled) == [("munmap", 64, OWN)]
    span = found.modelled["munmap", 64, OWN]
    assert isinstance(span, Span)
    assert span.middle == pytest.approx((30 * 0.3 + 20 + 20) / (40 * 0.3 + 40 + 20))
    corners = [(30 * i + 20 + line) / (40 * i + 40 + line) for i in (0.2, 0.4) for line in (10, 30)]
    assert span.low == pytest.approx(min(corners)) and span.high == pytest.approx(max(corners))
    assert predict(result, compare(result), processor, 3, [], bool, here=False).measured == []
    (check,) = found.measured
    assert check.found == 0 and not check.inside and check.error == pytest.approx((span.middle - 1) * 100)


def test_a_cell_without_counts_has_no_prediction(processor: Processor) -> None:
    mine = forecast(comparison(dict(MUNMAP) | {("munmap", 64, OWN): None}), processor)
    assert mine.modelled["munmap", 64, OWN] == Unpredicted(NOT_COUNTED)
    base = forecast(comparison(dict(MUNMAP) | {("munmap", 64, BASE): None}), processor)
    assert base.modelled["munmap", 64, OWN] == Unpredicted(f"the baseline: {NOT_COUNTED}")
    assert mine.measured == base.measured == []
    copies = forecast(comparison(dict(MUNMAP) | {("munmap", 64, BASE): (40.0, 2.0, 1.0, 1.0)}), processor)
    missing = copies.modelled["munmap", 64, OWN]
    assert missing == Unpredicted("no published constant of One for copies of 64 bytes")


def test_a_kernels_rest_dilutes_the_change(processor: Processor, tmp_path: Path) -> None:
    counted = kernels.load(counts_file(tmp_path / "c.json", [counted_cell("munmap", 64, 130_000, 3000)]))
    assert counted[0].cells["munmap", 64] == {
        "instruction": 130, "locked": 3, "line": 1, "far": 0, "copied": 0, "fault": 0,
    }  # fmt: skip
    found = forecast(comparison(MUNMAP), processor, counted, -14.0)
    span = found.whole["munmap", 64, OWN]
    assert isinstance(span, Span)
    own, base = 130 * 0.3 + 3 * 20 + 20, (130 - 30 + 40) * 0.3 + (3 - 1 + 2) * 20 + 20
    assert span.middle == pytest.approx(own / base)
    (check,) = found.published
    assert check.error == pytest.approx((own / base - 1) * 100 + 14)
    total = score(found.published)
    assert total is not None and (total.cells, total.inside) == (1, int(check.inside))
    assert total.error == pytest.approx(abs(check.error)) and total.width == pytest.approx(span.width)
    other = forecast(comparison({("fork", *key[1:]): value for key, value in MUNMAP.items()}), processor, counted)
    assert other.whole["fork", 64, OWN] == Unpredicted("fork was not counted at 64 KiB in the kernel 7.3.4-test")


def test_a_policy_that_models_a_counted_kernel_has_its_lines(processor: Processor, tmp_path: Path) -> None:
    """The base touches each line twice: a change that neither instructions nor locked ones have."""
    counted = kernels.load(counts_file(tmp_path / "c.json", [counted_cell("munmap", 64, 130_000, 3000)]))
    cell = counted_cell("munmap", 64, 999_000, 9000, near=2000) | {"kernel": "6.12"}
    kernel = {"name": "6.12", "release": "6.12.1-test", "policy": BASE}
    counted += kernels.load(counts_file(tmp_path / "d.json", [cell], kernels=[kernel]))
    span = forecast(comparison(MUNMAP), processor, counted).whole["munmap", 64, OWN]
    own, base = 130 * 0.3 + 3 * 20 + 20, (130 - 30 + 40) * 0.3 + (3 - 1 + 2) * 20 + 2 * 20
    assert isinstance(span, Span) and span.middle == pytest.approx(own / base)


def test_what_is_outside_says_which_cost_would_explain_it(processor: Processor, tmp_path: Path) -> None:
    counted = kernels.load(counts_file(tmp_path / "c.json", [counted_cell("munmap", 64, 130_000, 3000)]))
    (check,) = forecast(comparison(MUNMAP), processor, counted, -23.0).published
    assert not check.inside and next(iter(check.needed)) == "locked"
    lock = check.needed["locked"]
    assert (130 * 0.3 + 3 * lock + 20) / (140 * 0.3 + 4 * lock + 20) == pytest.approx(0.77)
    (inside,) = forecast(comparison(MUNMAP), processor, counted, -15.0).published
    assert inside.inside and not inside.needed
    (odd,) = forecast(comparison(MUNMAP), processor, counted, -60.0).published
    assert not odd.inside and not odd.needed, "no cost of one term makes a gain that large"
    assert odd.lacking == pytest.approx(0.4 * (140 * 0.3 + 4 * 20 + 20) - (130 * 0.3 + 3 * 20 + 20))
    assert explanation(odd, processor).startswith("no cost of any one term, but −62.2 cycles a page")
    assert "cycles for each of the locked instructions, where 20 to 20 are published; or " in explanation(
        check, processor
    )


def test_a_policy_that_copies_has_the_rest_of_the_benchmark_that_copies(processor: Processor, tmp_path: Path) -> None:
    cells = [counted_cell("reuse-byte", 64, 500_000, 5000), counted_cell("cow-byte", 64, 2_000_000, 30_000, 4_096_000)]
    counted = kernels.load(counts_file(tmp_path / "c.json", cells))
    assert counted[0].cells["cow-byte", 64] == {
        "instruction": 2000, "locked": 30, "line": 1, "far": 0, "copied": 64, "fault": 1,
    }  # fmt: skip
    table: Counted = {
        ("reuse-byte", 64, BASE): (300.0, 10.0, 1.0, 1.0),
        ("reuse-byte", 64, OWN): (140.0, 2.0, 1.0, 0.0),
        ("cow-byte", 64, BASE): (310.0, 9.0, 2.0, 1.0),
        ("cow-byte", 64, OWN): (320.0, 9.0, 2.0, 1.0),
    }
    without = forecast(comparison(table), processor, counted).whole["reuse-byte", 64, OWN]
    assert without == Unpredicted("no published constant of One for copies of 64 bytes")
    copied = processor.constants["locked"]
    able = Processor(name="two", described="Two", cpu="a 1 2", constants=processor.constants | {"copied": copied})
    span = forecast(comparison(table), able, counted).whole["reuse-byte", 64, OWN]
    assert isinstance(span, Span)
    base = (2000 - 320 + 300) * 0.3 + (30 - 9 + 10) * 20 + (1 - 2 + 1) * 20 + 64 * 20 + 1000
    assert span.middle == pytest.approx((500 * 0.3 + 5 * 20 + 20 + 1000) / base)
    alone = forecast(comparison({key: value for key, value in table.items() if key[0] == "reuse-byte"}), able, counted)
    reason = alone.whole["reuse-byte", 64, OWN]
    assert isinstance(reason, Unpredicted) and reason.reason.startswith(
        "the baseline: mm-id was not measured under cow"
    )


def test_a_result_keeps_the_prediction_with_processor_and_version(processor: Processor, tmp_path: Path) -> None:
    counted = kernels.load(counts_file(tmp_path / "c.json", [counted_cell("munmap", 64, 130_000, 3000)]))
    result = comparison(MUNMAP)
    stored = forecast(result, processor, counted).stored()
    replace(result, predicted=stored).save(tmp_path / "r.json")
    back = Result.load(tmp_path / "r.json").predicted
    assert back == stored and back is not None
    assert (back.processor, back.described, back.version) == ("one", "One", 3)
    assert [(one.kernel, one.policy, one.reason) for one in back.changes] == [("", OWN, ""), ("7.3.4-test", OWN, "")]
    assert all(one.ratio_low and one.ratio and one.ratio_low < one.ratio for one in back.changes)


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"kind": "compare"}, "kind 'compare'"),
        ({"kernels": []}, "no policy models"),
        ({"kernels": 3}, "no counts of kernels"),
        ({"cells": 3}, "no counts of kernels"),
    ],
)
def test_a_damaged_file_of_counts_is_refused(others: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match=why):
        kernels.load(counts_file(tmp_path / "c.json", **({"cells": []} | others)))
    (tmp_path / "d.json").write_text("{")
    with pytest.raises(ResultFileError, match="no counts of kernels"):
        kernels.load(tmp_path / "d.json")
    with pytest.raises(ResultFileError):
        kernels.load(tmp_path / "none.json")

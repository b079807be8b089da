"""What `compare --cpu` and `--counts` choose and refuse, and what a comparison with them writes."""

from __future__ import annotations

import io
import platform
from pathlib import Path

import pytest
from msgspec.structs import replace

pytest.importorskip("numba", reason="numba is missing: there is no native code")

from foliolab.framework.costmodel import choice, kernels
from foliolab.framework.costmodel.formula import Span
from foliolab.framework.engine.engine import native_missing
from foliolab.framework.errors import UsageError
from foliolab.framework.machine import stepping
from foliolab.framework.plugins.registry import load
from foliolab.framework.report.comparison import csvfile, terminal
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.results.comparison import compare
from foliolab.framework.results.result import Result
from foliolab.framework.run.request import build
from foliolab.framework.run.supervise import compare_run


def test_without_a_processor_nothing_is_predicted(tmp_path: Path) -> None:
    assert choice.choose("", None) is None
    with pytest.raises(UsageError, match="is not used without a processor"):
        choice.choose("", tmp_path / "counts.json")


def test_an_unknown_processor_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="there is no processor 'pentium'"):
        choice.choose("pentium", None)


def test_counts_that_ship_are_used_where_no_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernels, "SHIPPED", tmp_path / "none.json")
    chosen = choice.choose("xeon-4210r", None)
    assert chosen is not None and chosen.kernels == [] and chosen.processor.name == "xeon-4210r"


def test_what_cannot_be_counted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    request = build(load(), workloads=["munmap"], sizes=["16K"], memory="1M", execution="interpreted", cpu="xeon-4210r")
    with pytest.raises(UsageError, match="interpreted code has no instructions"):
        choice.check(request)
    assert "--cpu xeon-4210r" in " ".join(request.command())
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    native = build(load(), workloads=["munmap"], sizes=["16K"], memory="1M", execution="native", cpu="xeon-4210r")
    with pytest.raises(UsageError, match="this is riscv64"):
        choice.check(native)


@pytest.mark.slow
@pytest.mark.skipif(bool(stepping.unsupported() or native_missing()), reason="instructions cannot be counted here")
def test_a_comparison_counts_predicts_and_keeps_it(tmp_path: Path) -> None:
    registry = load()
    request = build(
        registry, policies=["page-mapcount", "no-page-mapcount"], workloads=["munmap"], sizes=["16K"], memory="1M",
        repeats=1, cpu="xeon-4210r",
    )  # fmt: skip
    result = compare_run(request)
    assert result.lost == []
    counted = {cell.policy: cell.counted for cell in result.cells}
    assert all(one["locked"] == one["atomics"] for one in counted.values())
    rows = compare(result, published=registry.published_figures(), resolve=registry.parameters_of)
    chosen = choice.choose("xeon-4210r", None)
    assert chosen is not None
    found = chosen.predict(result, rows, lambda policy: policy != "page-mapcount")
    replace(result, predicted=found.stored()).save(tmp_path / "r.json")
    kept = Result.load(tmp_path / "r.json").predicted
    assert kept is not None and (kept.processor, kept.version) == ("xeon-4210r", chosen.version)
    span = found.modelled["munmap", 16, "no-page-mapcount"]
    assert isinstance(span, Span)
    lines = csvfile.text(rows, None, found).splitlines()
    assert (
        lines[0].endswith("kernel_on_processor_ratio_high")
        and f"xeon-4210r,{chosen.version},{span.middle:.6g}" in lines[2]
    )
    terminal.render(result, rows, TerminalPage(file := io.StringIO()), None, found)
    text = file.getvalue()
    assert "munmap: predicted on Intel Xeon Silver 4210R" in text
    assert all(check.figure is not None for check in found.published)

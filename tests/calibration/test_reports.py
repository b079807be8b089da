"""The printed reports of a calibration and of a prediction."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from foliolab.framework.calibration.prediction import predict
from foliolab.framework.plugins.published import Published
from foliolab.framework.report import calibration as calibrated
from foliolab.framework.report.comparison import terminal
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.results.comparison import compare

SIZES = (4, 64, 256, 2048)


def figure(policy: str, size_kib: int, percent: float) -> Published:
    return Published(
        source="V1 (id)", machine="a Xeon", workload="munmap", size_kib=size_kib, policy=policy,
        baseline="page-mapcount", percent=percent,
    )  # fmt: skip


FIGURES = (figure("no-page-mapcount", 64, -8), figure("no-page-mapcount", 2048, -31), figure("mm-id", 64, 2))


def text_of(show: Any, console: Console | None = None, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    if console is not None:
        console.file = file
    show(TerminalPage(console or file))
    file.flush()
    return "\n".join(line.rstrip() for line in raw.getvalue().decode(encoding).splitlines()) + "\n"


def predicted(make: Any, workloads: tuple[str, ...] = ("munmap",), **times: Any) -> Any:
    """What prints the comparison with its prediction."""
    model = make.model(workloads, sizes=SIZES)
    rows = compare(model, published=FIGURES)
    held = times or {"munmap": make.rest(20, 300)}
    made = make.calibration(held, sizes=SIZES)
    prediction = predict(model, rows, made, lambda policy: policy != "page-mapcount")
    return lambda page: terminal.render(model, rows, page, prediction)


def test_a_calibration(make: Any) -> None:
    made = make.calibration({"munmap": make.rest(20, 300), "remap": make.rest(90, -30)}, sizes=SIZES)
    made = msgspec.structs.replace(made, left_out={"cow": "not in the model", "fork": "not in the model"})
    text = text_of(lambda page: calibrated.render(made, page))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "kernel − mm-id = a + b / pages of a folio",
        "munmap 20.00 20.00 … 20.00 300.00 300.00 … 300.00 0 % at 64 KiB",
        "munmap kernel 331.00 49.75 35.69 31.59",
        "mm-id 11.00 11.00 11.00 11.00",
        "residual (0.0) 0.0 0.0 0.0",
        "of kernel 0 % 0 % 0 %",
        "not fitted: munmap at 4 KiB and 1 more: small folios take other paths",
        "remap: b is negative: per folio the model takes longer than the kernel",
        "cow, fork: without constants: not in the model",
        "a CPU, 2 cores, an OS, Linux 6.18.1-test #1 SMP",
        "kernel: 512 MiB, 2026-01-01T00:00:00+00:00: foliolab kernel-bench",
    ):
        assert line in lines, text


def test_residuals_and_negative_constants_have_their_sign(make: Any) -> None:
    made = make.calibration({"munmap": lambda size: 8 + (10 if size == 64 else 0)}, sizes=SIZES)
    text = text_of(lambda page: calibrated.render(made, page))
    assert "a is negative: per page the model takes longer than the kernel" in text
    assert "−" in text and "-" not in text.replace("mm-id", "").replace("kernel-bench", "").partition("a CPU")[0]


def test_a_prediction_beside_the_raw_times(make: Any) -> None:
    lines = [" ".join(line.split()) for line in text_of(predicted(make)).splitlines()]
    for line in (
        "munmap: with the rest of the kernel, against page-mapcount",
        "size ns/page ns/page raw change 95 % interval a Xeon ns/page raw change 95 % interval a Xeon",
        "64 KiB 48.75 49.75 +10.0 % +2.1 % +2.1 … +2.1 +2 % inside 44.75 −40.0 % −8.2 % −8.2 … −8.2 −8 % inside",
        "256 KiB 34.69 35.69 +10.0 % +2.9 % +2.9 … +2.9 30.69 −40.0 % −11.5 % −11.5 … −11.5",
        "2 MiB 30.59 31.59 +10.0 % +3.3 % +3.3 … +3.3 26.59 −40.0 % −13.1 % −13.1 … −13.1 −31 % +17.9 off",
        "rest: +20.0 ns/page +300 ns/folio",
        "mm-id munmap 8.0 0.1 1 of 1 0.0 1 of 1",
        "no-page-mapcount munmap 20.5 9.1 1 of 2 0.0 1 of 2",
    ):
        assert line in lines, lines
    assert any("mm-id is what this kernel has: predicted within 0.0 % of the kernel's time" in line for line in lines)
    assert not any(line.startswith("Note: the calibration") for line in lines)


def test_what_is_not_predicted_says_why(make: Any) -> None:
    text = text_of(predicted(make, ("munmap", "fork", "reuse-byte"), **{"reuse-byte": make.rest(500, 0)}))
    assert "fork, with the rest of the kernel: no prediction: not calibrated" in text
    assert "no prediction for page-mapcount at 64 KiB and 2 more: it copies here, and cow-byte: not calibrated" in text
    both = {"reuse-byte": make.rest(500, 0), "cow-byte": make.rest(1500, 0)}
    text = text_of(predicted(make, ("reuse-byte",), **both))
    assert "rest of cow-byte, for page-mapcount: it copies where this kernel reuses: +1500.0 ns/page" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_that_is_not_utf_8(make: Any, encoding: str) -> None:
    text = text_of(predicted(make), encoding=encoding)
    assert "-40.0 %" in text and "-8.2 .." in text and "a + b / pages of a folio" in text


def test_a_narrow_terminal_loses_nothing(make: Any) -> None:
    console = Console(force_terminal=True, width=80, color_system=None)
    text = text_of(predicted(make), console)
    tables = [part for part in text.split("\n\n") if "with the rest of the kernel, against" in part]
    assert sum(part.count("with the rest of the kernel, against") for part in tables) == 2
    assert "+17.9 off" in text and "+2 %    inside" in text

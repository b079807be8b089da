"""Texts that all reports share: sizes, changes with their sign, durations, published figures, a run's origin."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.contract.policy import caller_of
from foliolab.framework.escaping import csv_cell
from foliolab.framework.plugins.published import Published

if TYPE_CHECKING:
    from foliolab.framework.results.result import Result
    from foliolab.framework.results.run_result import RunResult

STRUCT_PAGE: Final = 64
"""Bytes of Linux's struct page."""
FRAMES_PER_GIB: Final = 1 << 18


def size_text(size_kib: int) -> str:
    """A folio size with its unit."""
    return f"{size_kib // 1024} MiB" if size_kib >= 1024 and size_kib % 1024 == 0 else f"{size_kib} KiB"


def figure_text(figure: Published) -> str:
    """A published or imported figure with its meaning."""
    if figure.meaning == "absolute":
        return f"{_amount(figure.percent)} {figure.unit}{_spread(figure)}"
    if figure.meaning == "below":
        return f"< {figure.percent:g} %"
    if figure.meaning == "speed-up":
        return f"speed-up {figure.percent:g} %"
    if figure.meaning == "throughput":
        return f"throughput {signed(figure.percent, 'g')} %{_spread(figure)}"
    return f"{signed(figure.percent, 'g')} %{_spread(figure)}"


def origin_text(figure: Published) -> str:
    """Where a published or imported figure comes from."""
    return f"{figure.word}: {'; '.join(filter(None, (figure.source, figure.machine, figure.note)))}"


def _amount(value: float) -> str:
    """A number with at least three digits, and without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _spread(figure: Published) -> str:
    if figure.spread is None:
        return ""
    return f" ± {_amount(figure.spread) if figure.meaning == 'absolute' else f'{figure.spread:.1f}'}"


def signed(value: float, form: str) -> str:
    """A number with its sign; a number that rounds to 0 has none."""
    text = format(abs(value), form)
    return text if float(text) == 0 else ("−" if value < 0 else "+") + text


def change_text(ratio: float) -> str:
    """A ratio to the baseline, as a change in per cent without the unit."""
    return signed((ratio - 1) * 100, ".1f")


def time_text(ns: float) -> str:
    """Nanoseconds, with two decimals below 1000."""
    text = f"{abs(ns):.2f}" if abs(ns) < 1000 else f"{abs(ns):.0f}"
    return f"−{text}" if ns < 0 and float(text) else text


def share_text(part: float, whole: float) -> str:
    """A share in per cent; "-" if the whole is 0. A part above 0 is never rounded to 0."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if not part or percent >= 0.1:
        return f"{percent:.1f} %" if part else "0 %"
    text = f"{percent:.1g} %"
    return "under 0.0001 %" if "e" in text else text


def duration_text(ns: float) -> str:
    """A duration in s, ms, µs or ns; "-" for 0."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns" if ns else "-"


def broken(policy: str) -> str:
    """A policy's name as a heading; a long name is broken into several lines."""
    return policy if len(policy) <= 24 else policy.replace(":", ":\n").replace(",", ",\n")


def origin(result: RunResult) -> list[tuple[str, str]]:
    """(Heading, text) of the host, the kernel, the versions and the checkout."""
    machine = result.machine
    return [
        ("machine", f"{machine.cpu}, {machine.cores} processors, {machine.memory_bytes >> 30} GiB, {machine.os}"),
        ("kernel", result.kernel),
        ("versions", ", ".join(f"{name} {number}" for name, number in result.versions.items())),
        ("checkout", result.git or "none"),
    ]


def times(result: RunResult) -> tuple[str, str]:
    """(Heading, text) of the times of the run, and whether it was interrupted."""
    return "started, finished", f"{result.started}, {result.finished}{'' if result.complete else ' (interrupted)'}"


def callers(result: Result) -> list[str]:
    """A sentence for each caller that policies were measured under."""
    under: dict[str, list[str]] = {}
    for policy in result.config.policies:
        if caller := caller_of(policy):
            under.setdefault(caller, []).append(policy)
    return [
        f"{', '.join(policies)}: operations proceed as the caller {caller} says (`foliolab show {caller}`), not as "
        "in Linux"
        for caller, policies in under.items()
    ]


def growth(result: Result) -> list[str]:
    """A sentence for each policy that makes struct page larger, which costs memory for every page frame."""
    sentences = []
    for policy in result.config.policies:
        sizes = [cell.counted.get("struct_page_bytes", 0.0) for cell in result.cells if cell.policy == policy]
        size = int(max(sizes, default=0.0))
        if size > STRUCT_PAGE:
            more = (size - STRUCT_PAGE) * FRAMES_PER_GIB >> 20
            sentences.append(
                f"{policy} makes struct page {size} bytes instead of {STRUCT_PAGE}: {more} MiB more for each GiB of "
                "memory, whatever uses it"
            )
    return sentences


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[Any]], form: str = "") -> str:
    """Rows as CSV with a heading; None is an empty field, and no text is a formula. `form` is the format of floats."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(map(csv_cell, columns))
    lines.writerows([_field(value, form) for value in row] for row in rows)
    return text.getvalue()


def _field(value: Any, form: str) -> Any:
    if isinstance(value, str):
        return csv_cell(value)
    return format(value, form) if form and isinstance(value, float) else value

"""Texts that all reports share: sizes, changes with their sign, durations, published figures, headings."""

from __future__ import annotations

from foliolab.framework.plugins.published import Published


def size_text(size_kib: int) -> str:
    """A folio size with its unit."""
    return f"{size_kib // 1024} MiB" if size_kib >= 1024 and size_kib % 1024 == 0 else f"{size_kib} KiB"


def figure_text(figure: Published) -> str:
    """A published figure with its meaning."""
    if figure.meaning == "below":
        return f"< {figure.percent:g} %"
    if figure.meaning == "speed-up":
        return f"speed-up {figure.percent:g} %"
    if figure.meaning == "throughput":
        return f"throughput {signed(figure.percent, 'g')} %"
    return f"{signed(figure.percent, 'g')} %"


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
    return "0 %" if not part else f"{percent:.1f} %" if percent >= 0.1 else f"{percent:.1g} %"


def duration_text(ns: float) -> str:
    """A duration in s, ms, µs or ns; "-" for 0."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns" if ns else "-"


def broken(policy: str) -> str:
    """A policy's name as a heading; a long name is broken into several lines."""
    return policy if len(policy) <= 24 else policy.replace(":", ":\n").replace(",", ",\n")

"""`foliolab doctor`: the findings about this host, in plain text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from foliolab.framework.doctor import LONGEST, Finding, State, can_compare
from foliolab.framework.report.pages.page import Style
from foliolab.framework.report.pages.plain_text import Plain

SIGNS: Final[dict[State, tuple[str, Style]]] = {
    "ok": ("✓", "good"),
    "limited": ("!", "doubtful"),
    "missing": ("✗", "bad"),
}


def render(examined: Iterable[Finding], out: Plain) -> list[Finding]:
    """Print each finding as soon as it is known, its remedy below, then what works on this host; all findings."""
    findings = []
    for one in examined:
        findings.append(one)
        sign, style = SIGNS[one.state]
        out.item(f"{sign} {one.state:<8}", f"{one.name:<{LONGEST}}  {one.detail}", indent=0, style=style)
        if one.remedy:
            out.item("", one.remedy, indent=0, column=LONGEST + 13)
        out.stream.flush()
    out.line()
    limited = sum(one.state != "ok" for one in findings)
    if not can_compare(findings):
        out.line("Nothing can be compared here until what is missing is there.", "strong")
    elif limited:
        out.line(f"Comparisons run here; {limited} of {len(findings)} things are limited.", "strong")
    else:
        out.line("Everything works here.", "strong")
    return findings


def data(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as JSON values."""
    return {"schema": 1, "can_compare": can_compare(findings), "findings": [vars(one) for one in findings]}

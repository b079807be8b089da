"""`foliolab kernel scenarios`: a row a scenario, a column a kernel, in plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from foliolab.framework.report.pages.plain_text import Plain

if TYPE_CHECKING:
    from foliolab.framework.kernel.survey import Deed, Deeds

MEETS, NOT_PLAYED, LOST = "✓", "–", "lost"
KEY: Final = (
    "✓: the kernel does all that the scenario's text expects. ✗ and a word: the first thing that it does instead. "
    "–: not played."
)


def render(kernels: Sequence[Deeds], out: Plain) -> None:
    """Print the table, then for each kernel what it does instead, and why scenarios were not played."""
    names = list(dict.fromkeys(one.scenario for kernel in kernels for one in kernel.deeds))
    first = max((len(name) for name in names), default=8) + 2
    cells = {kernel.name: {one.scenario: cell(one) for one in kernel.deeds} for kernel in kernels}
    widths = {name: max(len(name), *(len(text) for text in there.values()), 0) + 2 for name, there in cells.items()}
    out.line(("scenario".ljust(first) + "".join(name.ljust(widths[name]) for name in cells)).rstrip(), "strong")
    for name in names:
        row = "".join(there.get(name, LOST).ljust(widths[kernel]) for kernel, there in cells.items())
        out.line((name.ljust(first) + row).rstrip())
    out.item("", KEY, indent=0, style="quiet")
    for kernel in kernels:
        out.line()
        out.line(kernel.described or kernel.name, "strong")
        for one in kernel.deeds:
            if one.step:
                out.item("✗", f"{one.scenario}: {instead(one)}")
        for why in dict.fromkeys(one.missing for one in kernel.deeds if one.missing):
            count = sum(one.missing == why for one in kernel.deeds)
            out.item(NOT_PLAYED, f"{count} scenarios were not played: {why}", style="quiet")
        if kernel.lost:
            out.item("✗", f"lost: {kernel.lost}", style="bad")


def cell(one: Deed) -> str:
    """What a kernel did in a scenario, in a word or two."""
    if one.missing:
        return NOT_PLAYED
    if not one.step:
        return MEETS
    _, subject, _ = _expected(one)
    return f"✗ {subject} {one.found}" if subject else f"✗ {one.found}"


def instead(one: Deed) -> str:
    """The first thing that a kernel does otherwise than a scenario expects."""
    of, subject, wanted = _expected(one)
    return (
        f"{one.step}: {of} {subject} {one.found}, not {wanted}" if subject else f"{one.step}: {one.found}, not {wanted}"
    )


def _expected(one: Deed) -> tuple[str, str, str]:
    """The pages, the subject and the value of an expectation; the first two are empty for an answer of the step."""
    process, expects, rest = one.expected.partition(": expect ")
    words = rest.split()
    return (f"{process} {words[0]}", words[1], " ".join(words[2:])) if expects and words[2:] else ("", "", one.expected)

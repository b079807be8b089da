"""`foliolab kernel check` over several kernels: a row a kernel, a column a policy, in plain text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.report import kernelcheck
from foliolab.framework.report.pages.page import Style
from foliolab.framework.report.pages.plain_text import Plain

if TYPE_CHECKING:
    from foliolab.framework.kernel.check import Agreement
    from foliolab.framework.kernel.matrix import Row

SCHEMA: Final = 1
LOST: Final = "lost"
NOTHING: Final = "–"
KEY: Final = (
    "✓ and a number: so many page writes, and everything that /proc shows after each step, are as the policy predicts. "
    "✗: what differs first. *: the policy claims to model this kernel."
)


def render(rows: Sequence[Row], policies: Sequence[str], out: Plain, identify: bool = False) -> None:
    """Print the table, then each kernel with its agreement by outcome and the shortest scenario of each difference.

    Args:
        policies: the columns, by name.
        identify: name the policies that each kernel behaves like, and leave the details out.
    """
    if not identify:
        _table(rows, policies, out)
    for row in rows:
        out.line()
        _heading(row, out)
        if identify:
            out.item("=", identified(row), style="strong")
        for name, found in row.agreements.items():
            if found.scenarios and not identify:
                _cell(row, name, found, out)
        _situations(row, out, whole=len(rows) == 1 and not identify)
    out.line()
    out.line(verdict(rows), "strong")


def verdict(rows: Sequence[Row]) -> str:
    """The verdict on all kernels in one sentence."""
    lost = [row.name for row in rows if row.lost]
    wrong = [f"{name} on {row.name}" for row in rows for name in row.refuted_claims]
    held = sum(1 for row in rows for name in row.claims if name in row.behaves_like)
    writes = sum(row.agreements[name].writes for row in rows for name in row.claims if name in row.agreements)
    others = [row for row in rows if not row.claims and row.behaves_like]
    writes += sum(row.writes for row in others)
    parts = []
    if held:
        parts.append(f"{held} of {len(rows)} kernels do all that the policy which claims to model them predicts")
    if others:
        like = ", ".join(dict.fromkeys(name for row in others for name in row.behaves_like))
        which = ", ".join(row.name for row in others)
        parts.append(f"no policy claims to model {which}, and all that was played there is as predicted by {like}")
    if wrong:
        parts.append(f"differs: {', '.join(wrong)}")
    if lost:
        parts.append(f"lost: {', '.join(lost)}")
    return f"{'; '.join(parts) or 'No policy claims to model these kernels'} ({writes:,} page writes)."


def identified(row: Row) -> str:
    """Which policies a kernel behaves like, by what it did."""
    names = row.behaves_like
    tried = len([found for found in row.agreements.values() if found.scenarios])
    if not names:
        return f"it behaves like none of the {tried} policies" if tried else "nothing was played"
    like = " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
    same = "; no scenario tells them apart" if len(names) > 1 else ""
    return f"it behaves like {like}, out of {tried} policies ({row.writes:,} page writes){same}"


def _table(rows: Sequence[Row], policies: Sequence[str], out: Plain) -> None:
    first = max(len("kernel"), *(len(row.name) for row in rows)) + 2
    widths = [max(len(name), 16) + 2 for name in policies]
    head = "kernel".ljust(first) + "".join(name.ljust(width) for name, width in zip(policies, widths, strict=True))
    out.line(head.rstrip(), "strong")
    for row in rows:
        cells = [_short(row, name).ljust(width) for name, width in zip(policies, widths, strict=True)]
        out.line((row.name.ljust(first) + "".join(cells)).rstrip())
    out.item("", KEY, indent=0, style="quiet")


def _short(row: Row, name: str) -> str:
    found = row.agreements.get(name)
    star = " *" if name in row.claims else ""
    if found is None or not found.scenarios:
        return (LOST if row.lost else NOTHING) + star
    if found.unexplained:
        return f"✗ {found.unexplained[0].shown.aspect}{star}"
    return f"✓ {found.writes:,}{star}{f' ({LOST})' if row.lost else ''}"


def _heading(row: Row, out: Plain) -> None:
    out.line(row.described or row.name, "strong")
    if row.where:
        took = f"answered after {row.boot_seconds:.1f} s, " if row.boot_seconds else ""
        out.line(f"  {row.where}; {took}{row.seconds:.0f} s in all", "quiet")
    for note in row.notes:
        out.item("·", note, style="quiet")
    if row.lost:
        out.item("✗", f"lost: {row.lost}", style="bad")


def _cell(row: Row, name: str, found: Agreement, out: Plain) -> None:
    claim = "claims to model it" if name in row.claims else "does not claim to model it"
    sign = "✗" if found.unexplained else "✓"
    style: Style = "" if name not in row.claims else "bad" if found.unexplained else "good"
    out.item(sign, f"{name} ({claim}): {by_outcome(found)}", style=style)
    for message in found.failed[:1]:
        out.item("·", f"{len(found.failed)} scenarios were not played: {message}", indent=4)
    for aspect in dict.fromkeys(one.shown.aspect for one in found.unexplained):
        same = [one for one in found.unexplained if one.shown.aspect == aspect]
        shortest = min(same, key=lambda one: len(one.minimal.steps))
        out.item("·", f"{len(same)} × {aspect}, the shortest:", indent=4)
        for line in kernelcheck.text_of(shortest).splitlines():
            if line:
                out.line(f"        {line}")


def _situations(row: Row, out: Plain, whole: bool) -> None:
    """What the longest comparison met: how many steps met each situation, or the rarest and those never met."""
    found = max(row.agreements.values(), key=lambda one: one.scenarios, default=None)
    if found is None or not found.scenarios or found.situations.sought is None:
        return
    if whole:
        kernelcheck.render_situations(found.situations, out)
        return
    sought, never = int(found.situations.sought.sum()), found.situations.never
    met = {name: number for name, number in found.situations.by_name.items() if number}
    rarest = min(met, key=lambda name: met[name], default="")
    least = f", {rarest} by the fewest steps ({met[rarest]})" if rarest else ""
    out.item("·", f"situations: {sought - len(never)} of {sought} were met{least}", style="quiet")
    if never:
        out.item("!", f"never met: {found.situations.never_text}", style="doubtful")


def by_outcome(found: Agreement) -> str:
    """The agreement for each outcome of the kernel's writes: "copied 3,101 of 3,101, reused 2 of 63"."""
    total: Counter[str] = Counter()
    same: Counter[str] = Counter()
    for (_, model, kernel), number in sorted(found.tally.items()):
        total[kernel] += number
        same[kernel] += number if model == kernel else 0
    parts = [f"{kind} {same[kind]:,} of {number:,}" for kind, number in total.items()]
    return f"{found.scenarios} scenarios; {', '.join(parts) or 'no page writes'}"


def data(rows: Sequence[Row]) -> dict[str, Any]:
    """What `foliolab kernel check --kernel … --json` prints: the rows, each with its agreements, and SCHEMA."""
    return {
        "schema": SCHEMA,
        "kernels": [
            {
                "name": row.name,
                "kernel": row.described,
                "where": row.where,
                "notes": row.notes,
                "lost": row.lost,
                "claims": list(row.claims),
                "behaves_like": row.behaves_like,
                "boot_seconds": round(row.boot_seconds, 2),
                "seconds": round(row.seconds, 2),
                "policies": [kernelcheck.data(found, name, row.described) for name, found in row.agreements.items()],
            }
            for row in rows
        ],
    }

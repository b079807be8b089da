"""Review policies: right, precise, cost, /proc, Linux agrees.

Five short paragraphs about each policy, with the commands that show more. Verdicts and witnesses that are kept for
exactly this text are used; what is missing is measured for a short time, about a minute for a policy, and what was not
measured is said. POLICY may be a plugin's file, a C file or a kernel tree.
Exit codes: 0 nothing is wrong, 1 a claim is refuted, or the kernel would act on wrong answers.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import ExitCode

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.review.questions import Subject

BASELINE: Final = "mm-id"
OTHER: Final = "page-mapcount"
"""The baseline of the baseline."""
SECONDS: Final = 15.0


def run(
    policies: _common.Names = None,
    baseline: Annotated[
        str, typer.Option(metavar="POLICY", help=f"The policy beside it. [{BASELINE}; of that: {OTHER}]")
    ] = "",
    budget: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Time for attacks where no verdict is kept.")
    ] = SECONDS,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as one page, too.")] = None,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
) -> None:
    """Say in five paragraphs what is known about a policy."""
    _common.writable(html)
    found = _common.registry(plugin, strict)
    schemes = _common.schemes(found, policies, plugin)
    beside = found.policy(baseline) if baseline else None
    _common.warn(found)
    from foliolab.framework.report import review as report
    from foliolab.framework.report.pages.document import DocumentPage
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.review import questions
    from foliolab.framework.verify import ledger

    shown, kept = TerminalPage(), DocumentPage()
    subjects = _subjects(found, schemes, policies or [])
    bad = False
    for subject in subjects:
        other = beside or found.policy(OTHER if subject.scheme.name == BASELINE else BASELINE)
        measures = questions.Measures(
            baseline=other,
            patterns=list(found.patterns.values()),
            askers=found.parse_askers([]),
            options=[word for path in plugin or () for word in ("--plugin", str(path))],
            seconds=budget,
            tell=_common.say,
            keep=ledger.keep,
        )
        review = questions.review(subject, measures)
        bad |= review.bad
        report.render(review, shown)
        report.render(review, kept)
        if html:
            _write(kept, html, [one.written for one in subjects])
    shown.line(report.LEGEND, "quiet")
    raise typer.Exit(ExitCode.COMPARISON_FAILED if bad else ExitCode.GOOD)


def _subjects(found: Registry, schemes: list[Scheme], written: list[str]) -> list[Subject]:
    from foliolab.framework.plugins.selection import split
    from foliolab.framework.review.questions import Subject

    words = split(written)
    names = words if len(words) == len(schemes) else [scheme.name for scheme in schemes]
    known, witnesses = _common.ledger(found), _common.witnesses(found)
    subjects = []
    for scheme, name in zip(schemes, names, strict=True):
        kind, source = found.origin(scheme)
        file = os.path.abspath(source) if kind == "file" else ""
        subjects.append(Subject(scheme, name, file, known.verdicts(scheme), witnesses.about(scheme)))
    return subjects


def _write(page: object, path: Path, names: list[str]) -> None:
    from foliolab.framework.document import write_atomically
    from foliolab.framework.report.pages import document

    assert isinstance(page, document.DocumentPage)
    repeat = [("command", _common.typed())]
    write_atomically(path, document.html(page, f"Review of {', '.join(names)}", repeat).encode())

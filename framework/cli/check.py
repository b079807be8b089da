"""Check that a policy keeps its contract and its claims.

The checks are those of the pytest plugin: the declaration, the attacks of `foliolab verify` within a budget, each
workload that the policy can run, and native code against the interpreted text, byte for byte. Verdicts are kept as
those of `foliolab verify`: `list`, `show`, `compare` and `report` name refuted claims.
Exit codes: 0 the policy conforms, 1 it does not, 4 its plugin cannot be loaded, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import ExitCode

if TYPE_CHECKING:
    from foliolab.framework.report.conformance import Line, Refutation
    from foliolab.framework.report.pages.page import Page
    from foliolab.framework.testing.subject import Subject

FOLDER: Final = Path("counterexamples")
SECONDS: Final = 20.0

Seconds = Annotated[float, typer.Option("--seconds", min=0.5, metavar="SECONDS", help="Time for the attacks.")]


def run(
    policies: _common.Names = None,
    seconds: Seconds = SECONDS,
    seed: _common.Seed = 1,
    output: _common.Examples = FOLDER,
    plugin: _common.Plugins = None,
    json: _common.Json = False,
) -> None:
    """Check policies, and write the counterexamples of refuted claims."""
    found = _common.registry(plugin)
    schemes = _common.schemes(found, policies, plugin)
    _common.warn(found)
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.testing.subject import Subject

    page = TerminalPage(sys.stderr if json else None)
    command = _common.typed()
    checked: list[dict[str, Any]] = []
    for number, scheme in enumerate(schemes):
        kind, source = found.origin(scheme)
        subject = Subject(
            scheme, seconds, seed=seed, plugin=os.path.abspath(source) if kind == "file" else "", command=command,
            registry=found,
        )  # fmt: skip
        if number:
            page.line()
        checked.append(_check(subject, output, page))
    if json:
        _common.print_json(checked)
    if any(line["verdict"] == "failed" for policy in checked for line in policy["checks"]):
        raise typer.Exit(ExitCode.COMPARISON_FAILED)


def _check(subject: Subject, output: Path, page: Page) -> dict[str, Any]:
    """Check one policy and print one line for each check.

    Returns:
        the outcome as plain values, for --json.
    """
    from foliolab.framework.report import conformance as report
    from foliolab.framework.testing.checks import run_all
    from foliolab.framework.verify.timeline import Timeline
    from foliolab.framework.verify.version import present_version

    began = time.monotonic()
    lines: list[Line] = []
    refutations: list[Refutation] = []
    page.line(f"{subject.scheme.name}: {subject.policy.summary}", "strong")
    page.line(f"  the attacks may take {subject.seconds:g} s; {present_version()}", "quiet")
    for check, outcome in run_all(subject):
        lines.append(report.Line(check.name, check.summary, outcome.verdict, outcome.text, outcome.note))
        report.show_line(lines[-1], page)
        example = outcome.counterexample
        if example is not None and example.law not in {one.name for one in refutations}:
            _, command = _common.write_counterexample(example, output, not refutations)
            refutations.append(report.Refutation(example.law, Timeline(example, subject.scheme), command))
    if subject.verified is not None:
        from foliolab.framework.verify import ledger

        ledger.keep(subject.verified, subject.scheme)
    report.show_end(subject.scheme.name, lines, refutations, time.monotonic() - began, page)
    return {
        "policy": subject.scheme.name,
        "seconds": round(time.monotonic() - began, 3),
        "checks": [{"name": one.name, "verdict": one.verdict, "text": one.text} for one in lines],
        "counterexamples": {one.name: one.command for one in refutations},
    }

"""Examine this host: what works here, and what is missing."""

from __future__ import annotations

import sys

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import ExitCode


def run(plugin: _common.Plugins = None, json: _common.Json = False) -> None:
    """Examine this host. The exit code is 3 if no comparison can run here."""
    from foliolab.framework import doctor
    from foliolab.framework.report import health
    from foliolab.framework.report.pages.plain_text import Plain

    found = _common.registry(plugin)
    examined = doctor.examine(found, sys.stdout.encoding or "ascii")
    if json:
        findings = list(examined)
        _common.print_json(health.data(findings))
    else:
        findings = health.render(examined, Plain())
    if not doctor.can_compare(findings):
        raise typer.Exit(ExitCode.NOTHING_MEASURED)

"""List policies, workloads, scenarios and plugins."""

from __future__ import annotations

from typing import Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import ExitCode

NAME: Final = "list"


def run(plugin: _common.Plugins = None, json: _common.Json = False, strict: _common.Strict = False) -> None:
    """List policies, workloads, scenarios and plugins. With `strict`, a failed plugin makes the exit code 4."""
    from foliolab.framework.report import listing
    from foliolab.framework.report.pages.plain_text import Plain

    # The registry is not strict here, because the list must show all failures.
    found = _common.registry(plugin)
    if json:
        _common.print_json(listing.data(found, _common.ledger(found), _common.witnesses(found)))
    else:
        listing.render(found, Plain(), _common.ledger(found), _common.witnesses(found))
    if strict and found.failures:
        raise typer.Exit(ExitCode.PLUGIN_FAILED)

"""Open the window: policies, memory maps and curves, live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NAME = "gui"


def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Open these: results, counterexamples, scenarios, traces, policies."),
    ] = None,
    plugin: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="A policy file, watched.")] = None,
) -> None:
    """Start it; where no window can open, say why and what to use instead."""
    from foliolab.gui.launch import window

    code = window(files or [], plugin or [])
    if code:
        raise typer.Exit(code)

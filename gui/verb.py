"""Open the window: compare, explore and verify policies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NAME = "gui"


def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...", help="Sessions, results, counterexamples, scenarios, traces, policies, kernel trees."
        ),
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A policy file, or tree:PATH, to load and to watch.")
    ] = None,
    save_reference: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Open no window: measure the home screen's reference result, and write it."),
    ] = None,
) -> None:
    """Open the window; if no window can open, say why and what to use instead."""
    if save_reference is not None:
        from foliolab.gui.compare import reference

        reference.save(save_reference, [str(file) for file in plugin or []])
        return
    from foliolab.gui.launch import window

    code = window(files or [], plugin or [])
    if code:
        raise typer.Exit(code)

"""A stop of a tour, as data: what it says, what it opens, when it is done, and what does it for the reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.library import Library

Seen = Mapping[str, object]
"""What is on screen (see `Workspace.on_screen`)."""
Condition = Callable[[Seen], bool]


@dataclass(frozen=True)
class Stop:
    """One stop of a tour.

    In the text, words between “ and ” are on screen. A test follows what the text says word for word: see
    tests/gui/newcomer.py for the sentences that it understands.

    Args:
        title: a few words.
        text: what is to be seen, and what the reader does.
        workspace: the name of the workspace.
        opens: sent to the workspace at the start of the stop: it selects and opens what the stop speaks of.
        until: whether the stop is done.
        show: does what the reader is asked to do ("Show me"); None if there is nothing to do.
        look: the object name of the widget to frame; empty for none.
        ready: whether what the stop opens is on screen already, so that it is not opened again; None: always open it.
    """

    title: str
    text: str
    workspace: str
    opens: object
    until: Condition
    show: Callable[[Desk], object] | None = None
    look: str = ""
    ready: Condition | None = None


@dataclass(frozen=True)
class Tour:
    """A tour.

    Args:
        name: unique.
        title: a question.
        summary: one sentence.
        stops: makes the stops with the installed policies and a copy of the example.
        policies: chooses the policies that the stops need, to compile them ahead.
        example: a file that the stops speak of; they work on a copy of it. None for none.
        repaired: what the stops make of the example's text; empty if they leave it.
    """

    name: str
    title: str
    summary: str
    stops: Callable[[Library, Path], Sequence[Stop]]
    policies: Callable[[Library], Sequence[str]]
    example: Path | None = None
    repaired: Callable[[str], str] | None = None


def sends(workspace: str, what: object) -> Callable[[Desk], object]:
    """Do it by sending something to a workspace."""
    return lambda desk: desk.send(workspace, what)


def runs(workspace: str, *commands: str) -> Callable[[Desk], object]:
    """Do it by commands of a workspace, such as "step"."""

    def run(desk: Desk) -> None:
        desk.go(workspace)
        for command in commands:
            desk.commands.trigger(f"{workspace}.{command}")

    return run

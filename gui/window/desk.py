"""What the window offers to every workspace and to the guide of the tours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from foliolab.gui.window.commands import Commands
from foliolab.gui.window.jobs import Jobs
from foliolab.gui.window.library import Library
from foliolab.gui.window.notices import Notices
from foliolab.gui.window.recent import Recent
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.theme import Themes
from foliolab.gui.window.undo import Undo


@dataclass(frozen=True)
class Desk:
    """The services of the window.

    Workspaces and the guide get a desk instead of the window, so that no module of theirs imports the window.

    Args:
        settings: values that are kept between starts.
        themes: the theme in use.
        commands: the registry of actions.
        jobs: starts long jobs in processes of their own.
        notices: messages above the status bar.
        undo: the stack of changes.
        library: policies, workloads and patterns.
        recent: keeps every measurement and counterexample.
        go: show a workspace, by its name.
        open: open a file in the workspace that takes it; returns whether one did.
        send: show a workspace, by its name, and give it something to show.
        tour: start a tour, by its name.
    """

    settings: Settings
    themes: Themes
    commands: Commands
    jobs: Jobs
    notices: Notices
    undo: Undo
    library: Library
    recent: Recent
    go: Callable[[str], None]
    open: Callable[[Path], bool]
    send: Callable[[str, object], None]
    tour: Callable[[str], None]

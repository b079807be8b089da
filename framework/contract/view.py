"""What a plugin declares to add a dock to the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

Area = Literal["left", "right", "top", "bottom"]
WORKSPACES: Final = ("compare", "explore", "benchmark", "verify", "policies")


@dataclass(frozen=True)
class View:
    """A dock of one of the window's workspaces.

    Args:
        name: unique among views; the dock's position is remembered by this name.
        summary: the dock's title, in one line.
        make: (desk) -> the QWidget in the dock. `desk` is a `foliolab.gui.window.desk.Desk`: policies are in
            `desk.library`, and `desk.library.changed` is emitted when a policy file was saved. The function is called
            in the GUI thread each time that the dock is made; it imports Qt itself, so that the plugin loads without.
        workspace: the workspace that gets the dock.
        area: the side of the workspace that the dock is on at first.
    """

    name: str
    summary: str
    make: Callable[[Any], Any]
    workspace: str = "compare"
    area: Area = "right"

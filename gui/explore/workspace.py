"""The explore workspace."""

from __future__ import annotations

from foliolab.gui.workspace import Workspace


class ExplorePlace(Workspace):
    """See the issue."""

    name = "explore"
    title = "&Explore"
    icon = "explore"
    keys = "Ctrl+2"
    tip = "Watch policies on the same memory, step by step"

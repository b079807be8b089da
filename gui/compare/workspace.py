"""The compare workspace."""

from __future__ import annotations

from foliolab.gui.workspace import Workspace


class ComparePlace(Workspace):
    """See the issue."""

    name = "compare"
    title = "&Compare"
    icon = "compare"
    keys = "Ctrl+1"
    tip = "All policies on all questions, at a glance"

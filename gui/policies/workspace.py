"""The policies workspace."""

from __future__ import annotations

from foliolab.gui.workspace import Workspace


class PoliciesPlace(Workspace):
    """See the issue."""

    name = "policies"
    title = "&Policies"
    icon = "policies"
    keys = "Ctrl+5"
    tip = "What is installed, what is broken, what you write yourself"

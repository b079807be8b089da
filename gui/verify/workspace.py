"""The verify workspace."""

from __future__ import annotations

from foliolab.gui.workspace import Workspace


class VerifyPlace(Workspace):
    """See the issue."""

    name = "verify"
    title = "&Verify"
    icon = "verify"
    keys = "Ctrl+4"
    tip = "Attack a policy, and see what breaks it"

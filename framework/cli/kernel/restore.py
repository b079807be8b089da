"""Restore the THP settings that a killed run left behind."""

from __future__ import annotations

from foliolab.framework.cli import _common


def run() -> None:
    """Restore the settings, and name each."""
    from foliolab.framework.kernel import settings

    restored = settings.restore()
    if restored is None:
        _common.put(f"nothing to restore: there is no {settings.state_file()}\n")
    elif not restored:
        print("a killed run left its state file; all THP settings were already as before")
    for line in restored or ():
        _common.put(f"restored {line}\n")

"""Restore the THP settings that a killed run left behind."""

from __future__ import annotations


def run() -> None:
    """Restore the settings, and name each."""
    from foliolab.framework.kernel import settings

    restored = settings.restore()
    if restored is None:
        print(f"nothing to restore: there is no {settings.state_file()}")
    elif not restored:
        print("a killed run left its state file; all THP settings were already as before")
    for line in restored or ():
        print(f"restored {line}")

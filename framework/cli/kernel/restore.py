"""Restore the THP settings that a killed run left behind."""

from __future__ import annotations


def run() -> None:
    """Say what was restored, or that there was nothing to."""
    from foliolab.framework.kernel import settings

    restored = settings.restore()
    if restored is None:
        print(f"nothing to restore: there is no {settings.state_file()}")
    elif not restored:
        print("a killed run had left its state file; every THP setting was as before it already")
    for line in restored or ():
        print(f"restored {line}")

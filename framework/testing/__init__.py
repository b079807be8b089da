"""The conformance kit: one set of checks of a policy, for pytest, the command line and the window.

`PolicyConformance` is the class that a policy's own tests subclass. It needs pytest; the checks do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foliolab.framework.testing.conformance import PolicyConformance

__all__ = ["PolicyConformance"]


def __getattr__(name: str) -> Any:
    if name == "PolicyConformance":
        from foliolab.framework.testing.conformance import PolicyConformance

        return PolicyConformance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

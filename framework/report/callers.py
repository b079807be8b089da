"""`foliolab show CALLER`: which operations of the engine a caller changes, and by which functions."""

from __future__ import annotations

from typing import Any

from foliolab.framework.contract.caller import CALLER_CLAIMS, Caller
from foliolab.framework.engine.callers import changed_operations
from foliolab.framework.engine.operation import OPERATIONS
from foliolab.framework.machine.calltree import where
from foliolab.framework.report.pages.plain_text import Plain


def data(caller: Caller) -> dict[str, Any]:
    """What a caller is, as JSON values."""
    return {
        "name": caller.name,
        "summary": caller.summary,
        "operations": sorted(changed_operations(caller)),
        "replaces": [
            {"function": function.__name__, "by": other.__name__, "at": where(other)}
            for function, other in caller.replace
        ],
        "claims": sorted(caller.claims),
        "references": list(caller.references),
    }


def render(caller: Caller, out: Plain) -> None:
    """Print what a caller changes."""
    out.line(f"{caller.name}: {caller.summary}", "strong")
    column = 4 + max(len(function.__name__) for function, _ in caller.replace)
    for function, other in caller.replace:
        out.item(function.__name__, f"is replaced by {other.__name__} ({where(other)})", column=column, style="name")
    changed = changed_operations(caller)
    out.line(f"changes {', '.join(name for name in OPERATIONS if name in changed)}")
    for claim in sorted(caller.claims):
        out.line(f"claims {claim}: {CALLER_CLAIMS[claim]}")
    for reference in caller.references:
        out.line(reference, "quiet")

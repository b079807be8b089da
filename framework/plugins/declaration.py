"""Where what a plugin offers is declared: a policy, a workload, a sharing pattern and so on."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from foliolab.framework.contract.hooks import Hooks
from foliolab.framework.contract.policy import Policy


def module_of(declared: object) -> ModuleType | None:
    """The module that declares a value: one whose text has its name, among those that hold the value or its functions.

    A policy that `dataclasses.replace` made from another one may have all its functions in the other's module.
    """
    name = getattr(declared, "name", "")
    own = [module for one in _modules(declared) if (module := sys.modules.get(one)) is not None]
    for module in own:  # nearly always one of these: a search in all modules takes tens of milliseconds
        if _holds(module, declared) and line_in(module, str(name)):
            return module
    holders = [m for m in list(sys.modules.values()) if _holds(m, declared)]
    candidates = [*(m for m in own if m in holders), *holders, *own]
    return next((m for m in candidates if line_in(m, str(name))), candidates[0] if candidates else None)


def location_of(declared: object) -> str:
    """File and line that declare what a plugin offers; empty if they are not known."""
    if isinstance(declared, Path):
        return str(declared)
    return location_in(module_of(declared), str(getattr(declared, "name", "")))


def location_in(module: object, text: str) -> str:
    """File and line of a module that first say a text, in quotes or at the line's beginning."""
    file = getattr(module, "__file__", None)
    return f"{file}:{line_in(module, text) or 1}" if file else ""


def line_in(module: object, text: str) -> int:
    """The line of a module's file that first says a text; 0 where none does."""
    try:
        lines = Path(getattr(module, "__file__", None) or "").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    quoted = re.compile(rf"(?P<q>[\"']){re.escape(text)}(?P=q)|^{re.escape(text)}\b")
    return next((i for i, line in enumerate(lines, 1) if quoted.search(line)), 0)


def _holds(module: object, declared: object) -> bool:
    return any(value is declared for value in list(getattr(module, "__dict__", {}).values()))


def _modules(declared: object) -> list[str]:
    """The modules of a value's functions; the policy's own fields may be of any type, as a plugin has them."""
    hooks = declared.hooks if isinstance(declared, Policy) else None
    given: dict[str, Any] = hooks.given() if isinstance(hooks, Hooks) else {}
    functions = [*given.values(), *(v for v in getattr(declared, "__dict__", {}).values() if callable(v))]
    return list(dict.fromkeys(str(getattr(function, "__module__", "")) for function in functions))

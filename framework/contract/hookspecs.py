"""How a plugin marks the functions by which its declarations reach FolioLab.

The hooks themselves, one for each kind of declaration, are the rows of `foliolab.framework.plugins.registry.Registry`.
Hooks are called when a plugin is loaded, and never while a policy runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import pluggy

GROUP: Final = "foliolab"
Hook = TypeVar("Hook", bound=Callable[..., Any])

_impl: Final = pluggy.HookimplMarker(GROUP)


def hookimpl(function: Hook) -> Hook:
    """Mark a plugin's function as the implementation of the hook of its name."""
    return _impl(function)

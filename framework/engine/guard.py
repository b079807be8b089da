"""The guard of interpreted code: a hook may write only the policy's own fields of the folio that it was given.

Native code is not checked. Therefore every policy runs interpreted before it is timed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import folio as helpers
from foliolab.framework.engine.structs import ORDER_MASK, PG_head
from foliolab.framework.errors import AccessError
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.ref import Ref

Function = Callable[..., Any]
WRITERS: Final = frozenset(
    {
        helpers.folio_free_swap, helpers.folio_trylock, helpers.folio_unlock, helpers.folio_get,
        helpers.folio_ref_add, helpers.folio_ref_sub_return, helpers.lru_add_drain,
    }
)  # fmt: skip
"""Helpers of the engine that write the engine's fields on a policy's behalf."""


def author_location(skip: str = "foliolab.framework") -> str:
    """File and line of the innermost running function outside the framework."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(skip):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class FieldGuard:
    """Allows one hook to write the fields that its policy declared, within one folio."""

    def __init__(self, scheme: Scheme, hook: str, fields: frozenset[str], subject: Any) -> None:
        self.scheme = scheme
        self.hook = hook
        self.fields = fields
        self.low = subject.off
        self.high = subject.off + _pages(subject) * subject.mem.pointers["page"].struct.size

    def check(self, ref: Ref) -> None:
        """Raise AccessError unless the hook may write there."""
        own = ref.field.name in self.fields
        if own and (ref.owner == "mm" or self.low <= ref.off < self.high):
            return
        what = "outside the folio it was given" if own else "which is not a field of the policy"
        location = author_location()
        raise AccessError(
            f"policy {self.scheme.name}: {self.hook} at {location} writes {ref.owner}.{ref.field.name}, {what}",
            "write declared fields of this folio only; references, flags and page tables are the engine's",
        )


def _pages(subject: Any) -> int:
    """Pages that belong to the pointer: a folio's, or one for a page."""
    if subject.struct.name != "folio" or not subject.flags.peek() >> PG_head & 1:
        return 1
    order: int = subject._flags_1.peek() & ORDER_MASK
    return 1 << order


def guarded(scheme: Scheme, name: str, hook: FunctionType) -> Function:
    """The hook in a wrapper that restricts its writes."""
    fields = frozenset(f.name for f in scheme.fields)

    @wraps(hook)
    def run(subject: Any, *rest: Any) -> Any:
        memory: Memory = subject.mem
        before = memory.guard
        memory.guard = FieldGuard(scheme, name, fields, subject)
        try:
            return hook(subject, *rest)
        finally:
            memory.guard = before

    return run


def unguarded(helper: FunctionType) -> Function:
    """A helper of the engine in a wrapper that lifts the restriction of the calling hook."""

    @wraps(helper)
    def run(subject: Any, *rest: Any) -> Any:
        memory: Memory = subject.mem
        before = memory.guard
        memory.guard = None
        try:
            return helper(subject, *rest)
        finally:
            memory.guard = before

    return run

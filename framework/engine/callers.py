"""A caller's text in the place of the engine's own: call trees of the entry points, and the operations that change."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from foliolab.framework.contract.caller import Caller
from foliolab.framework.engine import entrypoints
from foliolab.framework.engine.callertext import check_caller_text
from foliolab.framework.engine.calls import LEAVES
from foliolab.framework.engine.operation import OPERATIONS
from foliolab.framework.errors import PluginError
from foliolab.framework.machine.calltree import FRAMEWORK, CallTree, called_by, where
from foliolab.framework.machine.checks import unchecked_code
from foliolab.framework.machine.widths import keep_to_64_bits

Function = Callable[..., Any]
_ENTRIES: Final = {entry.__name__: entry for entry in entrypoints.ENTRY_POINTS}


@cache
def engine_tree(caller: Caller | None, extra: Function | None = None) -> CallTree:
    """Everything that the entry points reach, with a caller's functions instead of the engine's own.

    Args:
        extra: a function that calls entry points; then it is the tree's only root.

    Raises:
        PluginError: the caller replaces a function that no operation calls.
        PolicyTextError: its text has what no execution allows.
    """
    roots = list(entrypoints.ENTRY_POINTS) if extra is None else [extra]
    if caller is None:
        return CallTree(roots, LEAVES, {}, {})
    if extra is not None:
        engine_tree(caller)  # checks the caller
        return CallTree(roots, LEAVES, dict(caller.replace), {})
    _refuse_idle(caller)
    tree = CallTree(roots, LEAVES, dict(caller.replace), {})
    check_caller_text(tree)
    return tree


def _refuse_idle(caller: Caller) -> None:
    called = called_by(entrypoints.ENTRY_POINTS, dict(caller.replace))
    for function, _ in caller.replace:
        if function not in called:
            raise PluginError(
                f"caller {caller.name}: replace names {function.__qualname__} at {where(function)}, "
                "which no operation of the engine calls",
                "name a function of foliolab.framework.operations",
            )


def unchecked_engine_tree(caller: Caller | None, extra: Function | None = None) -> CallTree:
    """The same without the caller's own checks, for native code."""
    tree = engine_tree(caller, extra)
    return tree if caller is None else tree.with_code(unchecked_code)


@cache
def interpreted(caller: Caller, entry: Function, checks: bool) -> Function:
    """The interpreted form of an entry point, or of a function that calls some, under a caller.

    Args:
        checks: whether the caller's own checks are run.
    """
    known = entry in entrypoints.ENTRY_POINTS
    found: Function = _forms(caller, None if known else entry, checks)[entry]
    return found


@cache
def _forms(caller: Caller, extra: Function | None, checks: bool) -> dict[Function, Function]:
    tree = engine_tree(caller, extra) if checks else unchecked_engine_tree(caller, extra)

    def kept(function: Any, twin: Any) -> Any:
        if not function.__module__.startswith(FRAMEWORK):
            keep_to_64_bits(function, twin, checks)
        return twin

    twins: dict[Any, Any] = dict(tree.copies(kept))
    return twins


def caller_digest(caller: Caller) -> str:
    """A digest of a caller's claims and compiled text; its name and the names of files do not count."""
    tree = engine_tree(caller)
    parts = [f"{function.__qualname__} {tree.text_digest(other)}" for function, other in caller.replace]
    return " ".join([*sorted(parts), *sorted(caller.claims)])


def author_functions(caller: Caller) -> set[Function]:
    """The functions of a caller's text that are not the framework's."""
    return {one for one in engine_tree(caller).needs if not one.__module__.startswith(FRAMEWORK)}


@cache
def changed_operations(caller: Caller) -> frozenset[str]:
    """The operations (`operation.OPERATIONS`) that reach a function that the caller replaces."""
    replaced = {function for function, _ in caller.replace}
    plain = engine_tree(None)
    changed = {entry for entry in entrypoints.ENTRY_POINTS if replaced & set(plain.reached(entry))}
    return frozenset(name for name in OPERATIONS if entry_points_of(name) & changed)


@cache
def entry_points_of(operation: str) -> frozenset[Function]:
    """The entry points that an operation may call, as the text of its method says."""
    from foliolab.framework.engine.machine import Machine  # it imports this module's neighbours

    names = set(getattr(Machine, operation).__code__.co_names)
    found = {_ENTRIES[name] for name in names & _ENTRIES.keys()} if "entrypoints" in names else set()
    found |= {entrypoints.LOCKED[one] for one in found & entrypoints.LOCKED.keys()}
    for other in names & OPERATIONS.keys() - {operation} - _ENTRIES.keys():
        found |= entry_points_of(other)
    return frozenset(found)

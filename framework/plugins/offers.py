"""What one plugin offers, read from its hooks or its constants, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from foliolab.framework.contract.hookspecs import GROUP
from foliolab.framework.plugins import validation
from foliolab.framework.plugins.declaration import location_of
from foliolab.framework.plugins.discovery import Attempt, Source, Unusable
from foliolab.framework.plugins.kinds import Kind

Kinds = Sequence[Kind[Any]]
Offers = dict[str, dict[str, Any]]
"""Kind.attribute -> name -> what is offered."""


def read_offers(attempt: Attempt, loaded: object, kinds: Kinds) -> Offers:
    """Everything that a plugin offers through its hooks or as plain constants.

    Args:
        attempt: to load it; its phase is set for messages.
        loaded: its module, or what its entry point names.
        kinds: of declarations.

    Raises:
        Unusable: it offers nothing, something of the wrong type, or a name twice.
    """
    given = _given(attempt, loaded, kinds)
    attempt.phase = "check"
    offers: Offers = {kind.attribute: {} for kind in kinds}
    for kind in kinds:
        found = offers[kind.attribute]
        for value in given.get(kind.hook, ()):
            for offered in kind.read(value):
                name = _name(kind, offered)
                if name in found:
                    raise clash(kind, name, attempt.source, "itself, once before", offered, names_of(offers))
                found[name] = offered
    return offers


def _given(attempt: Attempt, loaded: object, kinds: Kinds) -> dict[str, list[Any]]:
    """What a plugin's hooks yield, or what its constants hold, by the hook's name."""
    attempt.phase = "register"
    for kind in kinds:
        if kind.constant and isinstance(loaded, kind.yields):
            return {kind.hook: [loaded]}
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(type("Hooks", (), {kind.hook: staticmethod(kind.specification()) for kind in kinds}))
    manager.register(loaded, attempt.source.name)
    manager.check_pending()
    attempt.phase = "hook"
    given = {}
    for kind in kinds:
        # The hook is called directly, not through pluggy: its line can then be named when it yields something wrong.
        implementations = getattr(manager.hook, kind.hook).get_hookimpls()
        if implementations:
            function = implementations[0].function
            given[kind.hook] = validation.listed(function(), kind, f"{kind.hook}()", validation.line_of(function))
        elif kind.constant and isinstance(loaded, ModuleType) and hasattr(loaded, kind.constant):
            given[kind.hook] = validation.plain(loaded, kind)
    if not given:
        constants = ", ".join(kind.constant for kind in kinds if kind.constant)
        first_line = f"{attempt.source.where}:1" if attempt.source.kind == "file" else ""
        raise Unusable(f"offers nothing: it has none of {constants}, and no function marked with @hookimpl", first_line)
    return given


def _name(kind: Kind[Any], offered: Any) -> str:
    """The unique name of what is offered: its own, a scenario's file name, or the whole path of another file."""
    if isinstance(offered, Path):
        return offered.stem if kind.attribute == "scenarios" else str(offered)
    return str(offered.name)


def names_of(offers: Offers) -> tuple[str, ...]:
    """The names of everything that is offered."""
    return tuple(name for offered in offers.values() for name in offered)


def clash(kind: Kind[Any], name: str, source: Source, other: str, offered: object, names: tuple[str, ...]) -> Unusable:
    """The failure of a plugin one of whose names is taken.

    Args:
        other: who has the name.
        names: all that the plugin offers.
    """
    return Unusable(
        f"{kind.name} {name!r} of {source.where} ({source.name}) is already given by {other}; rename one of them",
        location_of(offered),
        names,
        "clash",
    )

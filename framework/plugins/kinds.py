"""What a kind of declaration is: policies, workloads, report formats and so on are one `Kind` each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import pluggy

from foliolab.framework.contract.hookspecs import GROUP

if TYPE_CHECKING:
    from foliolab.framework.plugins.registry import Registry

Offered = TypeVar("Offered")


@dataclass(eq=False)
class Kind(Generic[Offered]):
    """One kind of thing that plugins offer, declared as an attribute of `Registry`.

    Read from a registry, the attribute is a mapping from name to what plugins offer of the kind, FolioLab's own first.
    Read from the class, it is the Kind itself.

    Args:
        name: one of them, in messages.
        hook: the function by which a plugin offers them.
        yields: the types that the hook may yield.
        read: what one yielded value offers (a folder of scenarios offers several files), after checking it.
            Raises Unusable for a value that breaks the contract.
        doc: what the hook yields, for the reference.
        constant: the constant of a plain file that may stand for the hook; empty for none.
        plural: several of them, in messages; default: `name` and an s.
        attribute: the name under which the registry holds them.
    """

    name: str
    hook: str
    yields: tuple[type, ...]
    read: Callable[[Any], Iterable[Offered]]
    doc: str
    constant: str = ""
    plural: str = ""
    attribute: str = field(init=False, default="")

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name
        self.plural = self.plural or f"{self.name}s"

    @overload
    def __get__(self, registry: None, owner: type) -> Kind[Offered]: ...
    @overload
    def __get__(self, registry: Registry, owner: type) -> dict[str, Offered]: ...
    def __get__(self, registry: Registry | None, owner: type) -> Kind[Offered] | dict[str, Offered]:
        return self if registry is None else registry.offers[self.attribute]

    @property
    def type_name(self) -> str:
        return " or ".join(one.__name__ for one in self.yields)

    def specification(self) -> Callable[[], Iterable[object]]:
        """The hook as pluggy wants to know it: a function without arguments."""

        def hook() -> Iterable[object]:
            return ()

        hook.__name__ = self.hook
        return pluggy.HookspecMarker(GROUP)(hook)

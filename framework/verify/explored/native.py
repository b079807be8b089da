"""The compiled searches, kept in the disk cache like all native code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from foliolab.framework.verify.explored import breadth_first, pct, reach

SEARCHES: Final[dict[str, tuple[Callable[..., Any], str]]] = {
    "search": (breadth_first.search, "tttttvvvvvvvtttiii"),
    "follow": (breadth_first.follow, "tttttvvvtttiii"),
    "mark": (reach.mark, "tttiii"),
    "spread": (reach.spread, "tttttii"),
    "rehash": (breadth_first.rehash, "tvii"),
    "walk": (pct.walk, "ttttttvvvviiiii"),
}
"""Each function with the kinds of its arguments (see `machine.native.Library.get`)."""


@cache
def native(name: str) -> Callable[..., int]:
    """The compiled form of a search function."""
    from foliolab.framework.machine.calltree import CallTree
    from foliolab.framework.machine.layout import Layouts
    from foliolab.framework.machine.native import Library

    function, kinds = SEARCHES[name]
    return Library(CallTree([function], frozenset(), {}, {}), Layouts(())).get(function, kinds)

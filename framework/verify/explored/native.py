"""The compiled searches, kept in the disk cache like all native code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from foliolab.framework.verify.explored import breadth_first, late_reads, pct, reach, state_table

SEARCHES: Final[dict[str, tuple[Callable[..., Any], str]]] = {
    "search": (breadth_first.search, "tttttvvvvvvvtttiii"),
    "follow": (breadth_first.follow, "tttttvvvtttiii"),
    "mark": (reach.mark, "tttiii"),
    "reads_of": (late_reads.reads_of, "tttii"),
    "spread_late": (late_reads.spread, "tttttii"),
    "spread": (reach.spread, "tttttii"),
    "rehash": (state_table.rehash, "tvii"),
    "walk": (pct.walk, "ttttttvvvvtttiiiii"),
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

"""The kernel that a trace was recorded on, and the policies that model it."""

from __future__ import annotations

from collections.abc import Iterable

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.kernel.running import Running
from foliolab.framework.trace.header import Header


def kernel_of(header: Header) -> Running:
    """The kernel of a trace, as far as its header knows it."""
    options = None
    if header.mm_id is not None and header.no_page_mapcount is not None:
        counted = "CONFIG_NO_PAGE_MAPCOUNT" if header.no_page_mapcount else "CONFIG_PAGE_MAPCOUNT"
        options = {"CONFIG_MM_ID": "y" if header.mm_id else "n", counted: "y"}
    return Running(header.kernel, options)


def models_of(header: Header, schemes: Iterable[Scheme]) -> frozenset[str]:
    """The names of those policies, in their default form, that model the kernel of a trace."""
    kernel = kernel_of(header)
    return frozenset(one.name for one in schemes if not one.chosen and kernel.behaves_as(one.policy.models))

"""Which policies a tour shows: chosen by what they claim, so that it works with whatever is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from foliolab.framework.errors import FolioLabError, UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.gui.window.library import Library


def first(library: Library, what: str, fits: Callable[[frozenset[str]], bool]) -> str:
    """The first installed policy whose claims fit, and none of whose claims is refuted if there is such a one.

    Args:
        what: the claims in words, for the error.

    Raises:
        UsageError: there is none.
    """
    fitting: list[Scheme] = []
    for policy in library.policies:
        try:
            scheme = policy.with_parameters()
        except FolioLabError:
            continue
        if fits(scheme.capabilities):
            fitting.append(scheme)
    if not fitting:
        raise UsageError(f"no installed policy {what}", "this tour needs one; install a plugin that has it")
    ledger = library.ledger()
    sound = [one for one in fitting if not ledger.refuted(one)]
    return (sound or fitting)[0].name


def exact(library: Library) -> str:
    """A policy that always knows."""
    return first(library, "claims to be exact", lambda claims: "exact" in claims)


def imprecise(library: Library) -> str:
    """A policy that is safe, and knows only so many owners."""
    return first(
        library, "claims to be safe without being exact", lambda claims: "safe" in claims and "exact" not in claims
    )


def with_page_mapcounts(library: Library) -> str:
    """A policy that counts the mappings of every page."""
    return first(library, "counts mappings by page", lambda claims: "page-mapcount" in claims and "safe" in claims)


def without_page_mapcounts(library: Library) -> str:
    """A policy that does not."""
    return first(library, "does without page mapcounts", lambda claims: "average-mapcount" in claims)

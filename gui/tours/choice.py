"""Chooses the policies of a tour by their claims, so that tours work with any set of installed policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from foliolab.framework.errors import FolioLabError, UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.gui.window.library import Library


def first(library: Library, what: str, fits: Callable[[frozenset[str]], bool]) -> str:
    """The first installed policy whose claims fit; one without a refuted claim is preferred.

    Args:
        library: the installed policies.
        what: the claims in words, for the error message.
        fits: whether a set of claims fits.

    Returns:
        its name.

    Raises:
        UsageError: no installed policy fits.
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
        raise UsageError(
            f"no installed policy {what}", "this tour needs such a policy: install a plugin that offers one"
        )
    ledger = library.ledger()
    sound = [scheme for scheme in fitting if not ledger.refuted(scheme)]
    return (sound or fitting)[0].name


def exact(library: Library) -> str:
    """A policy that claims to be exact."""
    return first(library, "claims to be exact", lambda claims: "exact" in claims)


def imprecise(library: Library) -> str:
    """A policy that claims to be safe, but not to be exact."""
    return first(
        library, "claims to be safe without being exact", lambda claims: "safe" in claims and "exact" not in claims
    )


def with_page_mapcounts(library: Library) -> str:
    """A policy that counts the mappings of every page."""
    return first(library, "counts mappings by page", lambda claims: "page-mapcount" in claims and "safe" in claims)


def without_page_mapcounts(library: Library) -> str:
    """A policy that does not count the mappings of single pages."""
    return first(library, "does without page mapcounts", lambda claims: "average-mapcount" in claims)

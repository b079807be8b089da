"""Compile native code before a run, in two processes if much is missing in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import calls, entrypoints
from foliolab.framework.engine.engine import engine_library, policy_library
from foliolab.framework.engine.structs import engine_layouts
from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.process import Child
from foliolab.framework.plugins.registry import load

ENTRY_POINTS: Final = (
    entrypoints.mm_create,
    entrypoints.mm_drop,
    entrypoints.populate,
    entrypoints.fork_range,
    entrypoints.zap_range,
    entrypoints.write_range,
    entrypoints.split_range,
)
"""What the microbenchmarks call. Other entry points are compiled at their first use."""
MUCH: Final = 4
"""With at least so many pieces to compile, a second process is worth its start."""


@dataclass(frozen=True)
class Piece:
    """One entry point to compile."""

    library: Any
    function: Callable[..., Any]
    kinds: str

    def missing(self) -> bool:
        return not self.library.is_cached(self.function, self.kinds)

    def build(self) -> None:
        self.library.get(self.function, self.kinds)


@dataclass(frozen=True)
class PolicyPiece:
    """The entry points of a policy, which are compiled together."""

    library: Any

    def missing(self) -> bool:
        return not self.library.is_table_cached(calls.ENTRIES, calls.KINDS)

    def build(self) -> None:
        self.library.table(calls.ENTRIES, calls.KINDS)


def engine_pieces(schemes: Sequence[Scheme]) -> list[Piece]:
    """The engine's entry points, once for each kernel layout and caller."""
    layouts = dict.fromkeys(
        (engine_layouts(scheme), policy_library(scheme).is_quick(calls.ENTRIES, calls.KINDS), scheme.caller)
        for scheme in schemes
    )
    return [
        Piece(engine_library(layout, None, quick, caller=caller), entry, entrypoints.ENTRY_POINTS[entry])
        for layout, quick, caller in layouts
        for entry in ENTRY_POINTS
    ]


def policy_piece(scheme: Scheme) -> PolicyPiece:
    """The entry points of a policy."""
    return PolicyPiece(policy_library(scheme))


def missing(schemes: Sequence[Scheme]) -> list[Piece | PolicyPiece]:
    """What the cache has not, policies last."""
    pieces: list[Piece | PolicyPiece] = [*engine_pieces(schemes), *map(policy_piece, schemes)]
    return [piece for piece in pieces if piece.missing()]


def ahead(schemes: Sequence[Scheme], plugins: Sequence[str]) -> Child | None:
    """Begin to compile what is missing in another process, if it is much; `build` shares the work with it."""
    try:
        much = len(missing(schemes)) >= MUCH
    except FolioLabError:  # `build` says which policy is wrong
        much = False
    return Child(_build, [scheme.name for scheme in schemes], list(plugins), name="compiler") if much else None


def build(schemes: Sequence[Scheme]) -> Iterator[tuple[int, int]]:
    """Compile what is missing.

    Yields:
        (done, total) before each piece; nothing if nothing is missing.

    Raises:
        NativeBuildError: a policy cannot be compiled.
    """
    todo = missing(schemes)
    for done, piece in enumerate(reversed(todo)):  # a process that has begun ahead comes from the other end
        yield done, len(todo)
        piece.build()


def _build(pipe: Connection, names: list[str], plugins: list[str]) -> None:
    registry = load(plugins)
    for piece in missing([registry.policy(name) for name in names]):
        with suppress(FolioLabError):
            piece.build()

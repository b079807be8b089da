"""Compile native code before a run, in two processes if enough is missing in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import calls, entrypoints
from foliolab.framework.engine.engine import engine_library, policy_library
from foliolab.framework.engine.structs import engine_layouts
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
WORTH_A_PROCESS: Final = 2
"""With at least this many policies and MANY_ENTRIES entry points to compile, a second process is worth its start."""
MANY_ENTRIES: Final = 4


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
    """The engine's entry points, once for each kernel layout."""
    layouts = dict.fromkeys(
        (engine_layouts(scheme), policy_library(scheme).is_quick(calls.ENTRIES, calls.KINDS)) for scheme in schemes
    )
    return [
        Piece(engine_library(layout, None, quick), entry, entrypoints.ENTRY_POINTS[entry])
        for layout, quick in layouts
        for entry in ENTRY_POINTS
    ]


def policy_piece(scheme: Scheme) -> PolicyPiece:
    """The entry points of a policy."""
    return PolicyPiece(policy_library(scheme))


def build(schemes: Sequence[Scheme], plugins: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Compile what is missing.

    Yields:
        (done, total) before each piece; nothing if nothing is missing.

    Raises:
        NativeBuildError: a policy cannot be compiled.
    """
    policies = [piece for piece in map(policy_piece, schemes) if piece.missing()]
    engine = [entry for entry in engine_pieces(schemes) if entry.missing()]
    total = len(policies) + len(engine)
    helper = None
    if len(engine) >= MANY_ENTRIES and len(policies) >= WORTH_A_PROCESS:
        helper = Child(_build_policies, [s.name for s in schemes], list(plugins), name="compiler")
    done = 0
    for entry in engine:
        yield done, total
        entry.build()
        done += 1
    if helper is not None:
        while not helper.over:
            helper.receive(0.1)
            yield total - sum(piece.missing() for piece in policies), total
        helper.end()
    for piece in policies:
        yield min(done, total - 1), total
        piece.build()
        done += 1


def _build_policies(pipe: Connection, names: list[str], plugins: list[str]) -> None:
    registry = load(plugins)
    for name in names:
        try:
            policy_piece(registry.policy(name)).build()
        except Exception:
            return

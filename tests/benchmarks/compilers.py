"""Processor time that native code takes to build with FolioLab's own compiler, and with numba alone.

    python tests/benchmarks/compilers.py

Each row is built once by each, with an empty cache, after both have compiled something else. It reports; it does not
gate.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import calls, entrypoints
from foliolab.framework.engine.engine import engine_library, native_missing
from foliolab.framework.engine.policytree import policy_tree
from foliolab.framework.engine.structs import engine_layouts, layouts_of
from foliolab.framework.plugins.registry import load
from foliolab.framework.replay.loop import replay_chunk


def pieces() -> Iterator[tuple[str, Callable[[bool], object]]]:
    """What is built: its name, and a function that builds it, quickly or not."""
    registry = load()
    layouts = engine_layouts(registry.policy("mm-id"))
    yield (
        "engine",
        lambda quick: [
            engine_library(layouts, None, quick).get(entry, kinds) for entry, kinds in entrypoints.ENTRY_POINTS.items()
        ],
    )
    yield "replay", lambda quick: engine_library(layouts, replay_chunk, quick).get(replay_chunk, "mmiii")
    for name in ("page-mapcount", "mm-id", "no-page-mapcount"):
        yield name, partial(built, registry.policy(name))


def built(scheme: Scheme, quick: bool) -> object:
    """The native code of a policy."""
    from foliolab.framework.machine.native import Library

    return Library(policy_tree(scheme), layouts_of(scheme), quick).table(calls.ENTRIES, calls.KINDS)


def seconds(build: Callable[[bool], object], quick: bool) -> float:
    """Processor time that it takes to build something."""
    start = time.process_time()
    build(quick)
    return time.process_time() - start


def main() -> int:
    """Build everything both ways; 3 where nothing can be built."""
    if reason := native_missing():
        print(f"compilers: nothing measured: {reason}", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="foliolab-compilers-") as cache:
        os.environ["FOLIOLAB_CACHE"] = cache
        for quick in (True, False):  # whatever a compiler does once is no part of the rows
            built(load().policy("exact"), quick)
        print(f"{'seconds':18} {'own':>6} {'numba':>7} {'share':>6}")
        for name, build in pieces():
            own, numba = seconds(build, True), seconds(build, False)
            print(f"{name:18} {own:6.2f} {numba:7.2f} {own / numba:6.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How fast the replay's loop is, against the same loop in C: `python tests/benchmarks/replay_against_c.py`.

The streams are those of `replay.py`. Each block of events is replayed natively and in C in one process, on the same
memory, restored before each call: in the order native, C, C, native, in every second block C, native, native, C. One
call before them does not count: the first after a block is loaded is faster than the others, whatever it runs. After
each call the whole memory must be equal byte for byte: page tables, struct pages, and every figure of the account. It
reports; it does not gate.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import reference
import replay
from engine_against_c import _interval, pin

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.replay import cells
from foliolab.framework.replay.loop import replay_chunk
from foliolab.framework.replay.player import Plan, Player
from foliolab.framework.replay.survey import survey
from foliolab.framework.trace.file import Trace

BOUND: Final = 1.20
BLOCK: Final = 1 << 16
"""Events a call: some milliseconds."""


@dataclass
class Times:
    """Nanoseconds of each block, the better of two calls: an interrupt hits one call, not both."""

    native: list[int] = field(default_factory=list)
    c: list[int] = field(default_factory=list)
    events: int = 0


def _quiet(phase: str, done: int, total: int) -> None:
    pass


class Difference(Exception):
    """The C reference and the replay do not leave the same memory."""


def measure(trace: Trace, scheme: Scheme) -> Times:
    """Replay a trace block by block, natively and in C.

    Raises:
        Difference: they do not leave the same memory, or the reference lacks a kind of event.
    """
    plan = Plan(trace, survey(trace, _quiet), 1 << 30, 0, "native", _quiet, chunk=BLOCK)
    player = Player(plan, scheme)
    while True:
        times, status = _attempt(plan, player, reference.Reference(scheme, source=reference.REPLAY))
        if status == cells.FINE:
            return times
        player.grow(status)


def _attempt(plan: Plan, player: Player, c: reference.Reference) -> tuple[Times, int]:
    """(times, status) of a machine that may be too small."""
    state, loader = player.start()
    machine = player.machine
    assert machine is not None
    native = machine.entry_point(replay_chunk, "mmiii")
    runs = {"native": native, "c": c.kernel(machine, replay_chunk)}
    times = Times()
    for block in plan.trace.blocks():
        for begin in range(0, block.size, BLOCK):
            part = block.part(slice(begin, begin + BLOCK))
            loader.load(part, times.events)
            taken = _round(machine, runs, (state.base, 0, part.size), len(times.native) % 2)
            if state.all[cells.STATUS] != cells.FINE:
                return times, int(state.all[cells.STATUS])
            times.native.append(min(taken["native"]))
            times.c.append(min(taken["c"]))
            times.events += part.size
    return times, cells.FINE


def _round(
    machine: Machine, runs: dict[str, Callable[..., int]], numbers: tuple[int, ...], turn: int
) -> dict[str, list[int]]:
    """Both ways from one state, twice each; the machine is in the state after them then.

    Args:
        turn: 0 if native code runs first and last, 1 if C does.
    """
    outer, inner = ("native", "c")[:: -1 if turn else 1]
    taken: dict[str, list[int]] = {"native": [], "c": []}
    before = machine.snapshot()
    after = None
    for call, way in enumerate((outer, outer, inner, inner, outer)):
        machine.restore(before)
        start = time.thread_time_ns()  # other processes' turns do not count
        done = runs[way](*numbers)
        if call:
            taken[way].append(time.thread_time_ns() - start)
        left = machine.snapshot()
        if after is None:
            after, ended = left, done
        elif done != ended or not np.array_equal(left, after):
            where = np.flatnonzero(left != after)[:1]
            raise Difference(f"{way} stopped at event {done}, native at {ended}; memory differs from byte {where} on")
    return taken


def main() -> int:
    """Measure everything that was asked for; 3 where that is impossible here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--streams", nargs="+", choices=replay.STREAMS, default=list(replay.STREAMS))
    parser.add_argument("--policies", nargs="+", choices=reference.SCHEMES, default=list(reference.SCHEMES))
    parser.add_argument("--cpu", type=int, help="pin to this CPU (the last one that may be used)")
    options = parser.parse_args()
    if reason := reference.missing() or native_missing():
        print(f"replay_against_c: nothing measured: {reason}", file=sys.stderr)
        return 3
    pin(options.cpu)
    print(f"{'stream':10} {'policy':18} {'native':>12} {'C':>12} {'ratio':>6} {'95 %':>11}")
    worst = 0.0
    for stream in options.streams:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{stream}.folio")
            replay.generate(path, stream, options.events)
            for policy in options.policies:
                times = measure(Trace(os.fspath(path)), reference.SCHEMES[policy])
                ratios = np.array(times.native) / np.array(times.c)
                low, high = _interval(ratios)
                ratio = float(np.median(ratios))
                worst = max(worst, ratio)
                native, c = (times.events / sum(ns) * 1e3 for ns in (times.native, times.c))
                mark = "" if ratio <= BOUND else "?" if low <= BOUND else "!"
                print(
                    f"{stream:10} {policy:18} {native:8.2f} M/s {c:8.2f} M/s {ratio:6.2f} {low:.2f}–{high:.2f} {mark}",
                    flush=True,
                )
    print(f"memory equal byte for byte after every block; worst ratio {worst:.2f}, the bound is {BOUND:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

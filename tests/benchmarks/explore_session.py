"""What exploring costs: how fast policies play in lockstep, how long a step back takes, and painting a map.

    python tests/benchmarks/explore_session.py                     # both sources, four policies
    python tests/benchmarks/explore_session.py --sources large --policies mm-id,exact

Two sources: `long`, more than a million steps over a few MiB, and `large`, eight maps of 1 GiB. For each it prints
page operations a second in all lanes together, the first steps back after the run, the first after `prepare` (which
a window lets run while nothing else is to be done), far jumps, and the time to paint one map; then what a worker
that publishes views reaches, with how long a thread beside it had to wait for the interpreter.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.sharing_pattern import Processes, SharingPattern, Usage
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.session_thread import SessionThread
from foliolab.framework.explore.source import EventsSource, pattern_source
from foliolab.framework.plugins import registry

DEFAULT: Final = "mm-id,page-mapcount,no-page-mapcount,exact"
MILLION: Final = 1_000_000


@dataclass(frozen=True)
class Load:
    """A source's size."""

    mms: int
    folios: int
    order: int
    rounds: int


LOADS: Final = {"long": Load(8, 256, 4, 400), "large": Load(8, 16384, 4, 6), "huge": Load(8, 512, 9, 12)}


def server(rounds: int) -> SharingPattern:
    """Workers are forked, all write, workers give memory back and exit, the parent writes what is left."""

    def play(processes: Processes, usage: Usage) -> None:
        chance = processes.random
        parent = processes.start()
        processes.populate(parent, 0, usage.nr_pages)
        for _ in range(rounds):
            alive = [processes.fork(parent) for _ in range(usage.mms - 1)]
            for process in [parent, *alive]:
                for folio in chance.sample(range(usage.folios), max(1, usage.folios // 8)):
                    processes.write(process, folio * usage.folio_pages, min(16, usage.folio_pages))
            for process in alive:
                for folio in chance.sample(range(usage.folios), max(1, usage.folios // 16)):
                    processes.unmap(process, folio * usage.folio_pages, usage.folio_pages)
                processes.exit(process)
            processes.unmap(parent, 0, usage.nr_pages // 2)
            processes.populate(parent, 0, usage.nr_pages // 2)
        processes.exit(parent)

    return SharingPattern(name="server", summary="a benchmark's", play=play)


def milliseconds(seconds: list[float]) -> str:
    """Median and largest."""
    return f"{1e3 * statistics.median(seconds):8.2f} ms median, {1e3 * max(seconds):8.2f} ms at most"


def timed(call: object, *arguments: object) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call(*arguments)  # type: ignore[operator]
    return time.perf_counter() - began


def run(session: Session, steps: int) -> None:
    """Play that far, and say how fast."""
    operations, began, calls = session.page_operations, time.perf_counter(), []
    while session.position < steps:
        calls.append(timed(session.play, 0.008))
    passed = time.perf_counter() - began
    done = session.page_operations - operations
    rates = session.position / passed / 1e6, done / passed / 1e6
    print(
        f"  {session.position:,} steps in {passed:.2f} s under {len(session.lanes)} policies: {rates[0]:.2f} M steps/s"
    )
    print(f"  page operations           {rates[1]:8.1f} M/s, all policies together")
    print(f"  a call of play(8 ms)      {milliseconds(calls)}")


def go_back(session: Session) -> None:
    """Steps back."""
    print(f"  first step back           {1e3 * timed(session.back):8.2f} ms")
    print(f"  the next 20               {milliseconds([timed(session.back) for _ in range(20)])}")
    session.advance(20_000)
    print(f"  prepare                   {1e3 * timed(session.prepare):8.2f} ms")
    print(f"  first step back then      {1e3 * timed(session.back):8.2f} ms")
    here = session.position
    print(f"  jump to a third           {1e3 * timed(session.goto, here // 3):8.2f} ms")
    print(f"  and forward again         {1e3 * timed(session.goto, here):8.2f} ms")


def paint(session: Session) -> None:
    """Maps, while several MMs live."""
    session.goto(session.nr_steps // 3)
    while sum(map(bool, session.lanes[0].names())) < 8 and not session.at_end:
        session.advance(session.nr_steps // 200)
    out = np.empty(session.lanes[0].room, np.uint8)
    for lane in session.lanes:
        took = []
        for _ in range(10):
            for mm, name in enumerate(lane.names()):
                if name:
                    took.append(timed(lane.cells, mm, out))
        print(f"  a map of {session.source.pages:,} pages under {lane.name:18} {milliseconds(took)}")


def watch(source: EventsSource, schemes: list[Scheme], seconds: float) -> None:
    """A worker flat out, with a thread that pulls its views as a window does."""
    worker = SessionThread(lambda: Session(source, schemes))
    worker.wait_ready()
    worker.show([(0, mm) for mm in range(8)])
    worker.play()
    views, late, best, number = 0, [], 0.0, 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        time.sleep(0.016)
        late.append(time.perf_counter() - began - 0.016)
        view = worker.view()
        if view is not None and view.number != number:
            number, views = view.number, views + 1
            best = max(best, view.page_operations_per_second)
        if view is not None and view.at_end:
            break
    passed = seconds - max(0.0, until - time.perf_counter())
    print(f"  worker: {views / passed:.0f} views/s of 8 maps, up to {best / 1e6:.1f} M page operations/s; "
          f"a 16 ms timer beside it came {milliseconds(late)} late")  # fmt: skip
    print(f"  closed in                 {1e3 * timed(worker.close):8.2f} ms")
    assert not [thread for thread in threading.enumerate() if thread.name == "explore"]


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", default=",".join(LOADS))
    parser.add_argument("--policies", default=DEFAULT)
    parser.add_argument("--steps", type=int, default=MILLION)
    parser.add_argument("--seconds", type=float, default=4.0, help="that the worker runs")
    arguments = parser.parse_args()
    schemes = registry.load().parse_policies([arguments.policies])
    for name in arguments.sources.split(","):
        load = LOADS[name]
        began = time.perf_counter()
        source = pattern_source(server(load.rounds), load.mms, load.folios, load.order)
        print(f"{name}: {source.title}, {source.nr_steps:,} steps, made in {time.perf_counter() - began:.1f} s")
        Session(source, schemes).advance(2000)  # compiles what is not in the cache
        session = Session(source, schemes)
        for lane in session.lanes:
            if lane.error is not None:
                print(f"  {lane.name}: {lane.error}")
        run(session, min(arguments.steps, source.nr_steps))
        go_back(session)
        paint(session)
        tables = sum(lane.machine.vm.size for lane in session.lanes if lane.machine is not None)
        kept = sum(lane.checkpoints.nbytes for lane in session.lanes if lane.checkpoints is not None)
        print(f"  tables {tables >> 20:,} MiB, as much for the newest checkpoints, older ones {kept >> 20:,} MiB")
        session.close()
        watch(source, schemes, arguments.seconds)
    unit = 1024 if sys.platform == "linux" else 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(f"largest resident set: {peak >> 20:,} MiB; {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()

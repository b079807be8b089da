"""How fast traces are replayed, and in how much memory: synthetic streams of two kinds of server.

    python tests/benchmarks/replay.py                        # 5 million events of each, the policies that model kernels
    python tests/benchmarks/replay.py --events 100_000_000 --streams snapshot --policies mm-id

Prints events a second in the loop over the events, the whole time with the survey, and the largest resident
set. The streams have a server's shape, not a server's times: what is written and freed is random, or in order.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np

from foliolab.framework.plugins import registry
from foliolab.framework.replay.session import ReplayRequest, replay
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import Header

HEAP: Final = 0x7F00_0000_0000 >> 12
ORDER: Final = 4
FOLIO: Final = 1 << ORDER
STEP: Final = 1_000
"""ns from one event to the next."""


class Stream:
    """Writes events of one kind at a time, a time step apart."""

    def __init__(self, writer: Writer, seed: int) -> None:
        self.writer = writer
        self.random = np.random.default_rng(seed)
        self.now = 0
        self.mms = count(2)

    def add(self, kind: int, mm: int, **columns: object) -> None:
        """Events of one kind and MM; columns may be arrays."""
        given = {name: np.asarray(value) for name, value in columns.items()}
        size = max((value.size for value in given.values() if value.ndim), default=1)
        times = self.now + STEP * np.arange(1, size + 1)
        self.now = int(times[-1])
        self.writer.append(ev.columns(time=times, kind=kind, mm=mm, **given))

    def fork(self, parent: int) -> int:
        """Fork; the child's MM."""
        child = next(self.mms)
        self.add(ev.FORK, parent, other=child)
        return child

    def exit(self, mm: int) -> None:
        """An MM's end."""
        self.add(ev.EXIT, mm)
        self.add(ev.GONE, mm)

    def heap(self, mm: int, start: int, folios: int) -> None:
        """First touch of folios."""
        self.add(
            ev.NEW, mm, page=start + FOLIO * np.arange(folios), order=ORDER, other=FOLIO * np.arange(1, folios + 1)
        )

    def writes(self, mm: int, start: int, pages: int, nr: int) -> None:
        """Write faults on so many different pages."""
        self.add(ev.WRITE, mm, page=start + self.random.choice(pages, nr, replace=False))


def _snapshots(stream: Stream, choose: Callable[[int, int], Any]) -> Iterator[None]:
    """A server of 64 MiB forks a child to save a snapshot, writes meanwhile, and frees and allocates a little.

    Args:
        choose: so many of so many numbers.
    """
    folios = 1024
    stream.heap(1, HEAP, folios)
    while True:
        child = stream.fork(1)
        stream.add(ev.WRITE, 1, page=HEAP + choose(folios * FOLIO, 8192))
        stream.exit(child)
        fresh = HEAP + FOLIO * choose(folios, 256)
        stream.add(ev.UNMAP, 1, page=fresh, nr=FOLIO)
        stream.add(ev.NEW, 1, page=fresh, order=ORDER, other=FOLIO * np.arange(5000, 5256))
        yield


def snapshot_server(stream: Stream) -> Iterator[None]:
    """A server that saves snapshots and writes at random."""
    return _snapshots(stream, lambda most, nr: stream.random.choice(most, nr, replace=False))


def orderly_server(stream: Stream) -> Iterator[None]:
    """The same server, which writes every second page in the order of addresses: each branch is easily predicted."""
    return _snapshots(stream, lambda most, nr: np.arange(0, most, most // nr))


def workers(stream: Stream) -> Iterator[None]:
    """A master of 32 MiB and eight workers, which write some of it, have memory of their own, and are recycled."""
    folios, own = 512, HEAP + (1 << 20)
    stream.heap(1, HEAP, folios)
    alive = [stream.fork(1) for _ in range(8)]
    for turn in count():
        for mm in alive:
            part = HEAP + FOLIO * folios // 16 * (turn % 16)  # each page once in a worker's life
            stream.writes(mm, part, FOLIO * folios // 16, 256)
            stream.heap(mm, own, 64)
            stream.add(ev.NEW, mm, page=own + 4096 + np.arange(1024), order=0, other=7)
            stream.add(ev.UNMAP, mm, page=own, nr=64 * FOLIO)
            stream.add(ev.UNMAP, mm, page=own + 4096, nr=1024)
        if turn % 16 == 15:
            for mm in alive:
                stream.exit(mm)
            stream.writes(1, HEAP, folios * FOLIO, 512)
            alive = [stream.fork(1) for _ in range(8)]
        yield


STREAMS: Final[dict[str, Callable[[Stream], Iterator[None]]]] = {
    "snapshot": snapshot_server,
    "orderly": orderly_server,
    "workers": workers,
}


def generate(path: Path, name: str, events: int, seed: int = 1) -> None:
    """Write a trace with so many events, or a few more."""
    with Writer(path, Header(source=f"synthetic: {name}")) as writer:
        turns = STREAMS[name](Stream(writer, seed))
        while writer.events < events:
            next(turns)


def main() -> None:
    """Generate, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--policies", default="", help="those that model a kernel, if not given")
    parser.add_argument("--folder", type=Path, default=None, help="where the traces are made, and removed again")
    arguments = parser.parse_args()
    found = registry.load()
    chosen = arguments.policies or ",".join(name for name, policy in found.policies.items() if policy.models)
    for name in arguments.streams.split(","):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            path = Path(folder, f"{name}.folio")
            generate(path, name, arguments.events)
            size = path.stat().st_size
            before = time.perf_counter()
            result = replay(ReplayRequest(path=os.fspath(path), schemes=found.parse_policies([chosen]), costs=None))
            whole = time.perf_counter() - before
        print(f"{name}: {result.recording.events:,} events, {size >> 20:,} MiB; all of it {whole:.1f} s")
        for one in result.policies:
            rate = one.events / one.seconds if one.seconds else 0
            print(f"  {one.policy:24} {rate / 1e6:6.2f} M events/s in the loop  {one.stopped}")
    # on Linux in KiB, elsewhere in bytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)
    print(f"largest resident set: {peak >> 20:,} MiB")


if __name__ == "__main__":
    main()

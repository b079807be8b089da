"""One measurement of a kernel microbenchmark, in a fresh interpreter (`bench_child`), and what was seen of it.

Before anything is timed every page is seen to lie in a folio of the size that was asked for; afterwards it is
seen how many pages were copied. With PFNs that is exact; without, the kernel's own counts of folios have to do.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import guards, pagemap, settings

PROGRAM: Final = Path(__file__).with_name("bench_child.py")
PAGE_KIB: Final = 4
PATIENCE: Final = 300.0
"""Seconds after which a step of the measuring process counts as hung."""
ANON_COW: Final = ("anon-cow-seq", "anon-cow-rand")
WRITES: Final = ("cow-byte", "cow", "reuse-byte", "reuse", "child-reuse-byte")
"""Benchmarks after which it is looked how many pages were copied."""

Witness = Literal["pfn", "count"]
"""How folios are recognised: by PFN and kpageflags, or by the counters in hugepages-*/stats."""


class WrongFolios(KernelError):
    """Memory did not come in folios of the size that was asked for."""


@dataclass(frozen=True)
class Request:
    """What one measuring process does.

    Args:
        benchmark: its name.
        kib: size of a folio.
        memory: bytes to work on, a multiple of 2 MiB.
        cpus: that it may run on; what is not anon-cow runs on the last.
        children: of anon-cow.
        seed: of random words.
    """

    benchmark: str
    kib: int
    memory: int
    cpus: tuple[int, ...]
    children: int
    seed: int

    @property
    def order(self) -> int:
        """log2 of a folio's pages."""
        return (self.kib // PAGE_KIB).bit_length() - 1

    @property
    def nr_pages(self) -> int:
        """Pages of the memory."""
        return self.memory // pagemap.PAGE_SIZE


@dataclass(frozen=True)
class Sample:
    """One measurement.

    Attributes:
        ns_per_page: what is known to be no part of the benchmark is subtracted; may be 0 or below by chance.
        copies: pages copied, per page; None where it was not looked at.
        moved: what the kernel did by itself meanwhile, in words; not empty: the sample is suspect.
    """

    ns_per_page: float
    copies: float | None
    moved: list[str]


def sample(request: Request, witness: Witness) -> Sample:
    """Measure once.

    Raises:
        WrongFolios: its memory is not in folios of that size.
        KernelError: the process failed.
    """
    counted = _stats(request, witness)
    with _process(request) as process:
        populated = process.hear()
        _see_folios(request, witness, populated, counted)
        process.say()
        look = _Look(request, witness, process.hear()["pid"], populated["address"], counted)
        before = guards.read()
        process.say()
        timed = process.hear()
        moved = guards.moved(before, guards.read())
        copies = look.copies()
        process.say()
    return Sample((timed["ns"] - timed["bias"]) / request.nr_pages, copies, moved)


# -- what lies where ----------------------------------------------------------------------------------
def _stats(request: Request, witness: Witness) -> Mapping[str, int]:
    if witness == "pfn" or request.order == 0:
        return {}
    return settings.stats(request.kib)


def _see_folios(request: Request, witness: Witness, populated: Mapping[str, Any], before: Mapping[str, int]) -> None:
    """See that all memory is in folios of the size.

    Raises:
        WrongFolios: it is not.
    """
    if witness == "pfn":
        off = pagemap.off_size(_pfns(populated["pid"], populated["address"], request.nr_pages), request.order)
    elif request.order:
        new = settings.stats(request.kib)["anon_fault_alloc"] - before["anon_fault_alloc"]
        wanted = request.nr_pages >> request.order
        off = [] if new >= wanted else [f"{wanted} folios of {request.kib} KiB were asked for, {new} allocated"]
    else:
        off = []
    if off:
        raise WrongFolios(off[0], "free memory, or let it be compacted: echo 1 > /proc/sys/vm/compact_memory")


def _pfns(pid: int, address: int, nr_pages: int) -> pagemap.Numbers:
    descriptor = pagemap.open_pagemap(pid)
    try:
        return pagemap.pagemap(descriptor, address, nr_pages).pfn
    finally:
        os.close(descriptor)


class _Look:
    """Counts the pages that are copied from now on."""

    def __init__(self, request: Request, witness: Witness, pid: int, address: int, counted: Mapping[str, int]) -> None:
        self.request, self.pid, self.address, self.counted = request, pid, address, counted
        self.by_pfn = witness == "pfn" and request.benchmark in WRITES
        self.by_count = witness == "count" and request.order > 0 and "reuse" in request.benchmark
        self.before = self._pfns() if self.by_pfn else None

    def _pfns(self) -> pagemap.Numbers:
        return _pfns(self.pid, self.address, self.request.nr_pages)

    def copies(self) -> float | None:
        """Pages copied, per page; None where nobody can tell."""
        if self.before is not None:
            return float(np.count_nonzero(self._pfns() != self.before)) / self.request.nr_pages
        if self.by_count:
            # a copied folio is freed, since nobody else maps it
            left = settings.stats(self.request.kib)["nr_anon"] - self.counted["nr_anon"]
            return min(max(1 - left / (self.request.nr_pages >> self.request.order), 0.0), 1.0)
        return None


# -- the process ---------------------------------------------------------------------------------------
class _Process:
    """A measuring process that is talked to line by line."""

    def __init__(self, request: Request) -> None:
        self.request = request
        numpy_at = str(Path(np.__file__).parents[1])
        text = json.dumps(asdict(request) | {"parent": os.getpid(), "path": numpy_at})
        try:
            self.popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(PROGRAM), text],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is not for it; whoever measures ends it
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as fault:
            raise KernelError(
                f"{sys.executable} cannot be started to measure in: {fault.strerror}", "check its permissions"
            ) from fault
        self.heard = b""

    def say(self) -> None:
        """Let it go on."""
        assert self.popen.stdin is not None
        with suppress(BrokenPipeError):  # `hear` says why
            self.popen.stdin.write(b"\n")
            self.popen.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Its next line.

        Raises:
            KernelError: it failed, died, or said nothing for too long.
        """
        assert self.popen.stdout is not None
        until = time.monotonic() + PATIENCE
        while b"\n" not in self.heard:
            ready, _, _ = select.select([self.popen.stdout], [], [], max(until - time.monotonic(), 0))
            if not ready:
                raise self._failed(f"did not answer within {PATIENCE:g} s")
            more = os.read(self.popen.stdout.fileno(), 1 << 16)
            if not more:
                raise self._failed(f"died ({_death(self.popen.wait())})")
            self.heard += more
        line, _, self.heard = self.heard.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise self._failed(f"failed: {said['error']}")
        return said

    def _failed(self, what: str) -> KernelError:
        where = f"{self.request.benchmark} at {self.request.kib} KiB"
        return KernelError(f"the process that measures {where} {what}", "is there enough memory? try less --memory")

    def end(self) -> None:
        """End it with all its children."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _death(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"


@contextmanager
def _process(request: Request) -> Iterator[_Process]:
    process = _Process(request)
    try:
        yield process
    finally:
        process.end()

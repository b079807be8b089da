"""One measurement of a kernel microbenchmark in a process of its own (`bench_child`), and checks of what it measured.

Before the timing, every page is checked to be in a folio of the requested size. Afterwards the copied pages are
counted. With PFNs both are exact; without them, the kernel's counters of folios are used.
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
TIMEOUT: Final = 300.0
"""Seconds after which a step of the measuring process counts as hung."""
ANON_COW: Final = ("anon-cow-seq", "anon-cow-rand")
WRITES: Final = ("cow-byte", "cow", "reuse-byte", "reuse", "child-reuse-byte")
"""Benchmarks whose copied pages are counted by PFNs."""

Witness = Literal["pfn", "count"]
"""How folios and copies are recognised: by PFNs and kpageflags, or by the counters in hugepages-*/stats."""


class WrongFolios(KernelError):
    """The kernel did not give folios of the requested size."""


@dataclass(frozen=True)
class SampleRequest:
    """One measurement.

    Args:
        benchmark: its name.
        kib: size of a folio in KiB.
        memory: size of the memory in bytes, a multiple of 2 MiB.
        cpus: the processors to use; a benchmark other than anon-cow runs on the last one.
        children: number of children of anon-cow.
        seed: of the random words.
    """

    benchmark: str
    kib: int
    memory: int
    cpus: tuple[int, ...]
    children: int
    seed: int

    @property
    def order(self) -> int:
        return (self.kib * 1024 // pagemap.PAGE_SIZE).bit_length() - 1

    @property
    def nr_pages(self) -> int:
        return self.memory // pagemap.PAGE_SIZE


@dataclass(frozen=True)
class BenchSample:
    """One measurement.

    Attributes:
        ns_per_page: time per page without the bias; noise can make it 0 or less.
        copies: number of copied pages per page; None if they were not counted.
        moved: what the kernel did by itself meanwhile (see `guards.moved`); if not empty, the sample is suspect.
    """

    ns_per_page: float
    copies: float | None
    moved: list[str]


def sample(request: SampleRequest, witness: Witness) -> BenchSample:
    """Measure once.

    Raises:
        WrongFolios: the memory is not in folios of the requested size.
        KernelError: the process failed.
    """
    counters = {} if witness == "pfn" or request.order == 0 else settings.stats(request.kib)
    with _process(request) as process:
        populated = process.receive()
        _check_folios(request, witness, populated, counters)
        process.resume()
        copy_counter = _CopyCounter(request, witness, process.receive()["pid"], populated["address"], counters)
        before = guards.read()
        process.resume()
        timed = process.receive()
        moved = guards.moved(before, guards.read())
        copies = copy_counter.copies()
        process.resume()
    return BenchSample((timed["ns"] - timed["bias"]) / request.nr_pages, copies, moved)


# -- folios and copies --------------------------------------------------------------------------------
def _check_folios(
    request: SampleRequest, witness: Witness, populated: Mapping[str, Any], before: Mapping[str, int]
) -> None:
    """Check that all memory is in folios of the requested size.

    Raises:
        WrongFolios: some is not.
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


class _CopyCounter:
    """Counts the pages that are copied after its construction.

    Args:
        request, witness: of the measurement.
        pid, address: of the measured memory.
        counters: the kernel's counters of the folio size before the memory was populated.
    """

    def __init__(
        self, request: SampleRequest, witness: Witness, pid: int, address: int, counters: Mapping[str, int]
    ) -> None:
        self.request, self.pid, self.address, self.counters = request, pid, address, counters
        self.by_pfn = witness == "pfn" and request.benchmark in WRITES
        self.by_count = witness == "count" and request.order > 0 and "reuse" in request.benchmark
        self.before = self._pfns() if self.by_pfn else None

    def _pfns(self) -> pagemap.Numbers:
        return _pfns(self.pid, self.address, self.request.nr_pages)

    def copies(self) -> float | None:
        """The number of copied pages per page; None if the witness does not show it."""
        if self.before is not None:
            return float(np.count_nonzero(self._pfns() != self.before)) / self.request.nr_pages
        if self.by_count:
            # No other process maps the folios any more, so a folio whose pages were all copied is freed.
            left = settings.stats(self.request.kib)["nr_anon"] - self.counters["nr_anon"]
            return min(max(1 - left / (self.request.nr_pages >> self.request.order), 0.0), 1.0)
        return None


# -- the process ---------------------------------------------------------------------------------------
class _Process:
    """A measuring process; the module `bench_child` describes the protocol."""

    def __init__(self, request: SampleRequest) -> None:
        self.request = request
        numpy_at = str(Path(np.__file__).parents[1])
        text = json.dumps(asdict(request) | {"parent": os.getpid(), "path": numpy_at})
        try:
            self.popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(PROGRAM), text],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches FolioLab only, which then kills this process group
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as fault:
            raise KernelError(
                f"{sys.executable} cannot be started to measure in: {fault.strerror}", "check its permissions"
            ) from fault
        self.received = b""

    def resume(self) -> None:
        """Let the process go on."""
        assert self.popen.stdin is not None
        with suppress(BrokenPipeError):  # `receive` raises the error
            self.popen.stdin.write(b"\n")
            self.popen.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Wait for the next message.

        Raises:
            KernelError: the process failed, died, or sent nothing for too long.
        """
        assert self.popen.stdout is not None
        until = time.monotonic() + TIMEOUT
        while b"\n" not in self.received:
            ready, _, _ = select.select([self.popen.stdout], [], [], max(until - time.monotonic(), 0))
            if not ready:
                raise self._failed(f"did not answer within {TIMEOUT:g} s")
            more = os.read(self.popen.stdout.fileno(), 1 << 16)
            if not more:
                raise self._failed(f"died ({_death(self.popen.wait())})")
            self.received += more
        line, _, self.received = self.received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise self._failed(f"failed: {message['error']}")
        return message

    def _failed(self, what: str) -> KernelError:
        where = f"{self.request.benchmark} at {self.request.kib} KiB"
        return KernelError(f"the process that measures {where} {what}", "is there enough memory? try less --memory")

    def end(self) -> None:
        """Kill the process and its children."""
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
def _process(request: SampleRequest) -> Iterator[_Process]:
    process = _Process(request)
    try:
        yield process
    finally:
        process.end()

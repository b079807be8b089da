"""One microbenchmark on real folios: a script that `sampler` runs as `python -I -S bench_child.py REQUEST`.

The script imports only the standard library, so that little besides the measured memory is mapped: fork and exit also
copy and tear down the page tables of the interpreter (docs/real-kernels.md, "Benchmarks on a real kernel").

The protocol has four messages, each a line of JSON, and waits for a line on stdin after each: PID and address of the
populated memory; the PID again when everything is prepared; the times; the end. REQUEST is a JSON object with
`benchmark`, `kib`, `memory` in bytes, `cpus`, `children`, `seed`, `parent` (PID) and `path` (the folder of numpy, for
the random words).

`mmap[::4096] = bytes` writes a byte per page in a loop in C, which takes about 15 ns a page; `memset` writes whole
pages; `fork` is called without Python's fork handlers. Modes and procedures: specification 6.1, 4.6 and 6.3.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

PAGE = 4096
PMD = 2 << 20
PMD_KIB = 2048
NORESERVE = 0x4000
PROT_READ = 1
PROT_READ_WRITE = 3
MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE = 4, 14, 15
PR_SET_PDEATHSIG = 1
BARE_FORKS = 5
WORDS = 1 << 16
"""Number of random words that are drawn and written at a time."""

ns = time.perf_counter_ns


def library() -> Any:
    """The C library; a PyDLL keeps the interpreter's lock during calls, which saves time."""
    libc = ctypes.PyDLL(None, use_errno=True)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    libc.madvise.argtypes = [pointer, size, ctypes.c_int]
    libc.munmap.argtypes = [pointer, size]
    libc.mprotect.argtypes = [pointer, size, ctypes.c_int]
    libc.memset.argtypes = [pointer, ctypes.c_int, size]
    libc.memset.restype = pointer
    return libc


LIBC = library()


def check(result: int, what: str) -> int:
    """Return the result of a call.

    Raises:
        OSError: the call failed.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


class Area:
    """Populated private anonymous memory in folios of one size, mapped by PTEs.

    Args:
        kib: size of a folio in KiB.
        size: of the memory in bytes, a multiple of 2 MiB.
        by_pmd: leave 2 MiB folios mapped by PMDs.
    """

    def __init__(self, kib: int, size: int, by_pmd: bool = False) -> None:
        self.size = size
        self.memory = mmap.mmap(-1, size + PMD, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
        first = ctypes.c_char.from_buffer(self.memory)
        start = ctypes.addressof(first)
        self.base = -(-start // PMD) * PMD
        self.pages = slice(self.base - start, self.base - start + size, PAGE)
        self.ones, self.twos = b"\1" * (size // PAGE), b"\2" * (size // PAGE)
        check(LIBC.madvise(self.base, size, MADV_HUGEPAGE if kib > PAGE >> 10 else MADV_NOHUGEPAGE), "madvise")
        self.memory[self.pages] = self.ones
        check(LIBC.madvise(self.base, size, MADV_NOHUGEPAGE), "madvise")  # stops khugepaged and keeps the folios
        if kib == PMD_KIB and not by_pmd:
            self.map_by_ptes()

    def map_by_ptes(self) -> None:
        """Split each PMD mapping by changing the protection of one page and back."""
        for address in range(self.base + PAGE, self.base + self.size, PMD):
            check(LIBC.mprotect(address, PAGE, PROT_READ), "mprotect")
            check(LIBC.mprotect(address, PAGE, PROT_READ_WRITE), "mprotect")

    def write_bytes(self, values: bytes) -> int:
        """Write a byte into each page; returns nanoseconds."""
        start = ns()
        self.memory[self.pages] = values
        return ns() - start

    def fill(self, value: int) -> int:
        """Write all bytes; returns nanoseconds."""
        start = ns()
        LIBC.memset(self.base, value, self.size)
        return ns() - start

    def unmap(self) -> int:
        """Unmap the memory; returns nanoseconds."""
        return timed_call("munmap", lambda: LIBC.munmap(self.base, self.size))


def timed_call(name: str, call: Callable[[], int]) -> int:
    """Time a call of the C library in nanoseconds; its error is checked afterwards."""
    start = ns()
    result = call()
    elapsed = ns() - start
    check(result, name)
    return elapsed


# -- processes ----------------------------------------------------------------------------------------
def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when the parent ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def fork_and_exit() -> int:
    """Fork a child that exits at once; returns the nanoseconds of the fork."""
    start = ns()
    child = LIBC.fork()
    if child == 0:
        LIBC._exit(0)
    elapsed = ns() - start
    os.waitpid(check(child, "fork"), 0)
    return elapsed


def fork_and_stay() -> int:
    """Fork a child that lives until it is killed."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        die_with_parent(parent)
        while True:
            signal.pause()
    return child


def end(child: int) -> None:
    """Kill a child and wait for its end."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


# -- the benchmarks: each prepares and returns a function, which returns the time and its bias in nanoseconds -
Timed = Callable[[], tuple[int, int]]


def munmap_(area: Area, request: dict[str, Any]) -> Timed:
    """Unmap all memory."""
    return lambda: (area.unmap(), 0)


def dontneed(area: Area, request: dict[str, Any]) -> Timed:
    """MADV_DONTNEED for all memory."""
    return lambda: (timed_call("madvise", lambda: LIBC.madvise(area.base, area.size, MADV_DONTNEED)), 0)


def fork(area: Area, request: dict[str, Any]) -> Timed:
    """Fork; the bias is the time of a fork without the memory."""
    return lambda: (fork_and_exit(), request["bare_fork"])


def write_byte(area: Area, child: int | None) -> tuple[int, int]:
    """Write a byte into each page; the bias is the time of the same loop without faults."""
    elapsed = area.write_bytes(area.twos)
    if child is not None:
        end(child)
    return elapsed, area.write_bytes(area.ones)


def cow_byte(area: Area, request: dict[str, Any]) -> Timed:
    """Write a byte into each page while a child lives."""
    child = fork_and_stay()
    return lambda: write_byte(area, child)


def reuse_byte(area: Area, request: dict[str, Any]) -> Timed:
    """Write a byte into each page after a child has exited."""
    fork_and_exit()
    return lambda: write_byte(area, None)


def cow(area: Area, request: dict[str, Any]) -> Timed:
    """Write all bytes while a child lives. The stores are part of the time, as in the model."""
    fork_and_stay()
    return lambda: (area.fill(2), 0)


def reuse(area: Area, request: dict[str, Any]) -> Timed:
    """Write all bytes after a child has exited. The stores are part of the time, as in the model."""
    fork_and_exit()
    return lambda: (area.fill(2), 0)


def remap(area: Area, request: dict[str, Any]) -> Timed:
    """Replace PMD mappings by PTE mappings; the bias is the time of the same calls without a PMD to split."""

    def split() -> int:
        start = ns()
        area.map_by_ptes()
        return ns() - start

    return lambda: (split(), split())


def anon_cow(area: Area, request: dict[str, Any], write: Callable[[int], object]) -> Timed:
    """Let children write at the same time, spread over the CPUs.

    Each child reports that it is ready, waits until the parent closes `go_write`, and reports its start and end.
    """
    go_read, go_write = os.pipe()
    report_read, report_write = os.pipe()
    parent = os.getpid()
    for number in range(request["children"]):
        if os.fork() == 0:
            die_with_parent(parent)
            os.close(go_write)
            os.sched_setaffinity(0, {request["cpus"][number % len(request["cpus"])]})
            os.write(report_write, b"\n")
            os.read(go_read, 1)
            start = ns()
            write(number)
            os.write(report_write, b"%d %d\n" % (start, ns()))
            while True:
                signal.pause()
    os.close(go_read)
    reports = os.fdopen(report_read)
    for _ in range(request["children"]):
        reports.readline()

    def timed() -> tuple[int, int]:
        os.close(go_write)
        times = [tuple(map(int, reports.readline().split())) for _ in range(request["children"])]
        return max(last for _, last in times) - min(first for first, _ in times), 0

    return timed


def anon_cow_seq(area: Area, request: dict[str, Any]) -> Timed:
    """Every child writes all bytes in ascending order."""
    return anon_cow(area, request, lambda number: area.fill(2))


def anon_cow_rand(area: Area, request: dict[str, Any]) -> Timed:
    """Every child writes random words, as many as the memory has."""
    sys.path.append(request["path"])
    import numpy as np

    words = np.ctypeslib.as_array((ctypes.c_uint64 * (area.size // 8)).from_address(area.base))

    def write(number: int) -> None:
        random = np.random.default_rng([request["seed"], number])
        for _ in range(0, len(words), WORDS):
            words[random.integers(0, len(words), WORDS)] = 2

    return anon_cow(area, request, write)


BENCHMARKS: dict[str, Callable[[Area, dict[str, Any]], Timed]] = {
    "munmap": munmap_,
    "dontneed": dontneed,
    "fork": fork,
    "cow-byte": cow_byte,
    "reuse-byte": reuse_byte,
    "cow": cow,
    "reuse": reuse,
    "remap": remap,
    "anon-cow-seq": anon_cow_seq,
    "anon-cow-rand": anon_cow_rand,
}


def child_reuse_byte(area: Area, request: dict[str, Any]) -> None:
    """Go on in a child, which is measured; the parent unmaps the memory and waits for the child's end."""
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(reader)
        area.unmap()
        os.write(writer, b"\n")
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    die_with_parent(parent)
    os.read(reader, 1)


def send(**message: Any) -> None:
    """Write a message as a line of JSON."""
    os.write(1, json.dumps(message).encode() + b"\n")


def wait_for_line() -> None:
    """Wait for a line on stdin; exit at its end, since FolioLab has ended."""
    if not sys.stdin.readline():
        os._exit(1)


def main() -> None:
    """Populate, prepare, measure."""
    request = json.loads(sys.argv[1])
    name = request["benchmark"]
    die_with_parent(request["parent"])
    cpus = request["cpus"]
    os.sched_setaffinity(0, cpus if name.startswith("anon-cow") else cpus[-1:])
    request["bare_fork"] = min(fork_and_exit() for _ in range(BARE_FORKS))
    area = Area(request["kib"], request["memory"], by_pmd=name == "remap")
    send(pid=os.getpid(), address=area.base)
    wait_for_line()
    if name == "child-reuse-byte":
        child_reuse_byte(area, request)
        timed: Timed = lambda: write_byte(area, None)  # noqa: E731
    else:
        timed = BENCHMARKS[name](area, request)
    send(pid=os.getpid())
    wait_for_line()
    elapsed, bias = timed()
    send(ns=elapsed, bias=bias)
    wait_for_line()
    os._exit(0)  # without destructors: the mmap object would unmap the memory a second time


if __name__ == "__main__":
    try:
        main()
    except Exception as fault:  # `sampler` raises a KernelError with the message
        send(error=f"{type(fault).__name__}: {fault}")
        os._exit(1)

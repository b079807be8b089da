"""One microbenchmark on real folios, in a fresh interpreter: `python -I -S bench_child.py REQUEST`.

Run as a program by `sampler`, with the standard library alone, so that next to nothing but the measured memory
is mapped. It talks in lines of JSON: what it populated; then, after a line on stdin, what it measured; it ends
after one more line. REQUEST is JSON: `benchmark`, `kib`, `memory` in bytes, `cpus`, `children`, `seed`, `path`
(where numpy is, for the random words).

How each is timed: a byte a page is written by `mmap[::4096] = bytes`, a loop in C of about 15 ns a page; a whole
page by `memset`; `fork` is called without Python's own fork handling. Modes and procedures: specification 6.1,
4.6 and 6.3.
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
"""Random words that are drawn and written at a time."""

ns = time.perf_counter_ns


def library() -> Any:
    """The C library, called without letting go of the interpreter's lock."""
    libc = ctypes.PyDLL(None, use_errno=True)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    libc.madvise.argtypes = [pointer, size, ctypes.c_int]
    libc.munmap.argtypes = [pointer, size]
    libc.mprotect.argtypes = [pointer, size, ctypes.c_int]
    libc.memset.argtypes = [pointer, ctypes.c_int, size]
    libc.memset.restype = pointer
    return libc


LIBC = library()


def check(answer: int, what: str) -> int:
    """What a call returned, or the error that it reports."""
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer


class Area:
    """Private anonymous memory in folios of one size, populated and mapped by PTEs.

    Args:
        kib: size of a folio.
        size: bytes, a multiple of 2 MiB.
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
        check(LIBC.madvise(self.base, size, MADV_NOHUGEPAGE), "madvise")  # khugepaged keeps away; folios stay
        if kib == PMD_KIB and not by_pmd:
            self.map_by_ptes()

    def map_by_ptes(self) -> None:
        """Split each PMD mapping by protecting one page of it and back."""
        for address in range(self.base + PAGE, self.base + self.size, PMD):
            check(LIBC.mprotect(address, PAGE, PROT_READ), "mprotect")
            check(LIBC.mprotect(address, PAGE, PROT_READ_WRITE), "mprotect")

    def write_bytes(self, values: bytes) -> int:
        """Write a byte into each page; nanoseconds."""
        start = ns()
        self.memory[self.pages] = values
        return ns() - start

    def fill(self, value: int) -> int:
        """Write all bytes; nanoseconds."""
        start = ns()
        LIBC.memset(self.base, value, self.size)
        return ns() - start

    def unmap(self) -> int:
        """munmap; nanoseconds."""
        start = ns()
        answer = LIBC.munmap(self.base, self.size)
        taken = ns() - start
        check(answer, "munmap")
        return taken


# -- processes ----------------------------------------------------------------------------------------
def die_with_parent(parent: int) -> None:
    """End when the parent does."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def fork_and_exit() -> int:
    """Fork a child that exits at once; nanoseconds of the fork."""
    start = ns()
    child = LIBC.fork()
    if child == 0:
        LIBC._exit(0)
    taken = ns() - start
    os.waitpid(check(child, "fork"), 0)
    return taken


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


# -- the benchmarks: each prepares, returns its name for what is timed, in nanoseconds, with what to subtract -
Timed = Callable[[], dict[str, int]]


def munmap_(area: Area, request: dict[str, Any]) -> Timed:
    """munmap of it all."""
    return lambda: {"ns": area.unmap(), "bias": 0}


def dontneed(area: Area, request: dict[str, Any]) -> Timed:
    """MADV_DONTNEED of it all."""

    def timed() -> dict[str, int]:
        start = ns()
        answer = LIBC.madvise(area.base, area.size, MADV_DONTNEED)
        taken = ns() - start
        check(answer, "madvise")
        return {"ns": taken, "bias": 0}

    return timed


def fork(area: Area, request: dict[str, Any]) -> Timed:
    """fork, less what a fork without the memory takes."""
    return lambda: {"ns": fork_and_exit(), "bias": request["bare_fork"]}


def write_byte(area: Area, child: int | None) -> dict[str, int]:
    """A byte into each page, less what the same loop takes where nothing faults."""
    taken = area.write_bytes(area.twos)
    if child is not None:
        end(child)
    return {"ns": taken, "bias": area.write_bytes(area.ones)}


def cow_byte(area: Area, request: dict[str, Any]) -> Timed:
    """A byte into each page while a child lives."""
    child = fork_and_stay()
    return lambda: write_byte(area, child)


def reuse_byte(area: Area, request: dict[str, Any]) -> Timed:
    """A byte into each page after a child has exited."""
    fork_and_exit()
    return lambda: write_byte(area, None)


def cow(area: Area, request: dict[str, Any]) -> Timed:
    """All bytes while a child lives; the stores are part of it, as in the model."""
    fork_and_stay()
    return lambda: {"ns": area.fill(2), "bias": 0}


def reuse(area: Area, request: dict[str, Any]) -> Timed:
    """All bytes after a child has exited; the stores are part of it, as in the model."""
    fork_and_exit()
    return lambda: {"ns": area.fill(2), "bias": 0}


def remap(area: Area, request: dict[str, Any]) -> Timed:
    """PMD mappings replaced by PTE mappings, less what changing the protection takes otherwise."""

    def once() -> int:
        start = ns()
        area.map_by_ptes()
        return ns() - start

    return lambda: {"ns": once(), "bias": once()}  # the second time there is no PMD to split


def anon_cow(area: Area, request: dict[str, Any], write: Callable[[int], object]) -> Timed:
    """Children that all write at the same time, each on a CPU of its own as far as there are enough."""
    go_read, go_write = os.pipe()
    told_read, told_write = os.pipe()
    parent = os.getpid()
    for number in range(request["children"]):
        if os.fork() == 0:
            die_with_parent(parent)
            os.close(go_write)
            os.sched_setaffinity(0, {request["cpus"][number % len(request["cpus"])]})
            os.write(told_write, b"\n")
            os.read(go_read, 1)
            start = ns()
            write(number)
            os.write(told_write, b"%d %d\n" % (start, ns()))
            while True:
                signal.pause()
    os.close(go_read)
    told = os.fdopen(told_read)
    for _ in range(request["children"]):
        told.readline()

    def timed() -> dict[str, int]:
        os.close(go_write)  # whoever reads there goes on
        times = [tuple(map(int, told.readline().split())) for _ in range(request["children"])]
        return {"ns": max(last for _, last in times) - min(first for first, _ in times), "bias": 0}

    return timed


def anon_cow_seq(area: Area, request: dict[str, Any]) -> Timed:
    """Every child writes all bytes, from the first to the last."""
    return anon_cow(area, request, lambda number: area.fill(2))


def anon_cow_rand(area: Area, request: dict[str, Any]) -> Timed:
    """Every child writes as many random words as there are."""
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
    """The process goes on as the child of itself: what was the parent unmaps, and waits for its end."""
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


def say(**what: Any) -> None:
    """A line of JSON."""
    os.write(1, json.dumps(what).encode() + b"\n")


def heard() -> None:
    """Wait for the next line; whoever asked may be gone."""
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
    say(pid=os.getpid(), address=area.base)
    heard()
    if name == "child-reuse-byte":
        child_reuse_byte(area, request)
        timed: Timed = lambda: write_byte(area, None)  # noqa: E731
    else:
        timed = BENCHMARKS[name](area, request)
    say(pid=os.getpid())
    heard()
    say(**timed())
    heard()
    os._exit(0)  # the mmap object must not unmap a second time


if __name__ == "__main__":
    try:
        main()
    except Exception as fault:  # told to whoever started this, who says it with the benchmark's name
        say(error=f"{type(fault).__name__}: {fault}")
        os._exit(1)

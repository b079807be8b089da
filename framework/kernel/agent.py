"""The processes of a scenario on the running kernel: a script, run by itself with nothing but the standard library.

`python -I -S agent.py launch FD` is small (10 MB), so that its forks are fast. For each scenario it forks one
agent, which maps memory and obeys the commands of `processes.Tree`; agents fork agents. Each takes its commands
from a socket of its own (SEQPACKET): words, the first the command, the others integers. It answers `ok` and
numbers, or `error` and what. An agent whose socket is closed at the other end exits.

Must stay importable by nobody: it imports no FolioLab module, since it runs without them.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import sys
from typing import NoReturn

PAGE = 4096
PMD = 2 << 20
PROT_READ, PROT_WRITE = 1, 2
MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_NORESERVE = 0x02, 0x10, 0x20, 0x4000
MREMAP_MAYMOVE_FIXED = 3
MADV_DONTNEED, MADV_DONTFORK, MADV_DOFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE = 4, 10, 11, 14, 15
MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_WRITE = 20, 21, 23
IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER = 425, 426, 427
VMSPLICE = {"x86_64": 278, "aarch64": 75, "ppc64le": 285, "s390x": 309, "riscv64": 75}
REGISTER_BUFFERS, UNREGISTER_BUFFERS = 0, 1
OFF_CQ_RING, OFF_SQES = 0x8000000, 0x10000000
WRITE_FIXED = 5
SPLICED = 1
"""Bytes of a page that a pipe holds."""

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
libc.syscall.restype = libc.tee.restype = ctypes.c_long
libc.tee.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint]


class IOVec(ctypes.Structure):
    """struct iovec."""

    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def checked(result: int | None, what: str) -> int:
    """The result of a system call; OSError where it failed."""
    if result is None or result in (-1, ctypes.c_void_p(-1).value):
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


class Ring:
    """An io_uring with one registered buffer, a page: the only pin that needs no device."""

    def __init__(self, addr: int) -> None:
        params = (ctypes.c_uint32 * 30)()
        self.fd = checked(libc.syscall(IO_URING_SETUP, 1, params), "io_uring_setup")
        self.addr = addr
        # struct io_uring_params: ten words, then the offsets of the rings' fields
        self.sq_tail, self.sq_array, self.cq_head = params[11], params[16], params[20]
        iov = IOVec(addr, PAGE)
        usage = resource.getrusage
        before = usage(resource.RUSAGE_SELF).ru_minflt
        done = libc.syscall(IO_URING_REGISTER, self.fd, REGISTER_BUFFERS, ctypes.byref(iov), 1)
        self.faulted = int(usage(resource.RUSAGE_SELF).ru_minflt > before)
        if done < 0:
            number = ctypes.get_errno()
            os.close(self.fd)
            raise OSError(number, f"io_uring_register: {os.strerror(number)}")

    def peek(self) -> int:
        """The first byte of the buffer, as the device would see it: written from it into a pipe."""
        out, into = os.pipe()
        rings = mmap.mmap(self.fd, PAGE), mmap.mmap(self.fd, PAGE, offset=OFF_CQ_RING)
        entries = mmap.mmap(self.fd, PAGE, offset=OFF_SQES)
        sq, cq = rings
        try:
            entry = struct.pack("<BBHiQQIIQH", WRITE_FIXED, 0, 0, into, (1 << 64) - 1, self.addr, 1, 0, 0, 0)
            entries[: len(entry)] = entry
            sq[self.sq_array : self.sq_array + 4] = bytes(4)
            tail = struct.unpack_from("<I", sq, self.sq_tail)[0]
            struct.pack_into("<I", sq, self.sq_tail, tail + 1)
            checked(libc.syscall(IO_URING_ENTER, self.fd, 1, 1, 1, None, 0), "io_uring_enter")
            head = struct.unpack_from("<I", cq, self.cq_head)[0]
            struct.pack_into("<I", cq, self.cq_head, head + 1)
            os.set_blocking(out, False)
            return os.read(out, 1)[0]
        finally:
            for mapped in (sq, cq, entries):
                mapped.close()
            os.close(out)
            os.close(into)

    def let_go(self) -> None:
        """Unregister first: closing alone drops the pin some time later, from a work queue."""
        checked(libc.syscall(IO_URING_REGISTER, self.fd, UNREGISTER_BUFFERS, None, 0), "io_uring_register")
        os.close(self.fd)

    def forget(self) -> None:
        """In a forked child: the ring is the parent's."""
        os.close(self.fd)


class Pipe:
    """A pipe that holds a reference of a page."""

    def __init__(self, addr: int) -> None:
        self.out, self.into = os.pipe()
        iov = IOVec(addr, SPLICED)
        number = VMSPLICE.get(platform.machine())
        if number is None:
            raise OSError(f"the number of vmsplice on {platform.machine()} is not known")
        checked(libc.syscall(number, self.into, ctypes.byref(iov), 1, 0), "vmsplice")

    def peek(self) -> int:
        """The first byte of the page, through a second pipe: reading this one would use it up."""
        out, into = os.pipe()
        try:
            checked(libc.tee(self.out, into, 1, 0), "tee")
            return os.read(out, 1)[0]
        finally:
            os.close(out)
            os.close(into)

    def let_go(self) -> None:
        """Close both ends: the reference goes at once."""
        os.close(self.out)
        os.close(self.into)

    forget = let_go


class Agent:
    """One process of a scenario."""

    def __init__(self, socks: list[socket.socket], mine: int) -> None:
        self.socks = socks
        self.mine = mine
        self.held: dict[int, Ring | Pipe] = {}
        self.reserved = 0, 0
        self.own = False
        """Whether the interpreter's memory is no longer shared with a parent or child."""
        self.dummy = mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.target = ctypes.addressof(ctypes.c_char.from_buffer(self.dummy))

    def serve(self) -> NoReturn:
        """Obey until told to exit, or until nobody is there."""
        while True:
            words = self.socks[self.mine].recv(4096).split()
            if not words:
                os._exit(0)
            try:
                answer = getattr(self, f"do_{words[0].decode()}")(*map(int, words[1:]))
                reply = b"ok " + " ".join(map(str, answer or ())).encode()
            except Exception as fault:
                reply = f"error {words[0].decode()}: {fault}".encode()
            self.socks[self.mine].send(reply)

    # -- memory ------------------------------------------------------------------------------------
    def do_reserve(self, nbytes: int) -> tuple[int]:
        """Find room for all regions, 2 MiB aligned."""
        at = checked(libc.mmap(None, nbytes + PMD, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), "mmap")
        libc.munmap(at, nbytes + PMD)
        base = (at + PMD - 1) & ~(PMD - 1)
        self.reserved = base, base + nbytes
        return (base,)

    def do_map(self, addr: int, nbytes: int) -> None:
        """Map a region."""
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED
        checked(libc.mmap(addr, nbytes, PROT_READ | PROT_WRITE, flags, -1, 0), "mmap")

    def do_populate(self, addr: int, nbytes: int, whole: int, huge: int, byte: int, split: int) -> None:
        """Touch every page; afterwards neither khugepaged nor later faults make large folios."""
        checked(libc.madvise(addr, whole, MADV_HUGEPAGE if huge else MADV_NOHUGEPAGE), "madvise")
        for at in range(addr, addr + nbytes, PAGE):
            ctypes.memset(at, byte, 1)
        checked(libc.madvise(addr, whole, MADV_NOHUGEPAGE), "madvise")
        if split:
            for at in range(addr, addr + nbytes, PMD):
                # of a part: it splits the PMD and changes nothing else
                checked(libc.mprotect(at + PAGE, PAGE, PROT_READ), "mprotect")
                checked(libc.mprotect(at + PAGE, PAGE, PROT_READ | PROT_WRITE), "mprotect")

    def do_write(self, addr: int, nr: int, byte: int, nbytes: int) -> list[int]:
        """Store into each page; for each, whether that took a page fault."""
        for _ in range(3):
            # the interpreter's own memory may be shared since a fork: fault it in before counting
            if not any(self._stores(self.target, nr, 0, byte, nbytes)):
                break
        return self._stores(addr, nr, PAGE, byte, nbytes)

    @staticmethod
    def _stores(addr: int, nr: int, stride: int, byte: int, nbytes: int) -> list[int]:
        usage, memset, faults = resource.getrusage, ctypes.memset, [0] * nr
        for i in range(nr):
            before = usage(resource.RUSAGE_SELF).ru_minflt
            memset(addr + i * stride, byte, nbytes)
            faults[i] = 1 if usage(resource.RUSAGE_SELF).ru_minflt > before else 0
        return faults

    def do_read(self, addr: int, nr: int) -> list[int]:
        """The first byte of each page."""
        return [ctypes.c_ubyte.from_address(addr + i * PAGE).value for i in range(nr)]

    def do_zero(self) -> tuple[int]:
        """A page that was read and never written: the zero page."""
        addr = libc.mmap(None, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        ctypes.c_ubyte.from_address(checked(addr, "mmap")).value  # noqa: B018
        return (addr,)

    def do_munmap(self, addr: int, nbytes: int) -> None:
        """Unmap a range."""
        checked(libc.munmap(addr, nbytes), "munmap")

    def do_dontneed(self, addr: int, nbytes: int) -> None:
        """Drop the pages of a range."""
        checked(libc.madvise(addr, nbytes, MADV_DONTNEED), "madvise")

    def do_cold(self, addr: int, nbytes: int) -> None:
        """Say that a range is not used now."""
        checked(libc.madvise(addr, nbytes, MADV_COLD), "madvise")

    def do_pageout(self, addr: int, nbytes: int) -> None:
        """Ask for a range to be swapped out."""
        checked(libc.madvise(addr, nbytes, MADV_PAGEOUT), "madvise")

    def do_mprotect(self, addr: int, nbytes: int) -> None:
        """Read-only, and back."""
        checked(libc.mprotect(addr, nbytes, PROT_READ), "mprotect")
        checked(libc.mprotect(addr, nbytes, PROT_READ | PROT_WRITE), "mprotect")

    def do_mremap(self, addr: int, nbytes: int, to: int) -> None:
        """Move a range."""
        checked(libc.mremap(addr, nbytes, nbytes, MREMAP_MAYMOVE_FIXED, to), "mremap")

    # -- references --------------------------------------------------------------------------------
    def do_pin(self, addr: int, name: int) -> tuple[int]:
        """Pin a page; whether that took a page fault."""
        if not self.own:
            self.unshare()
        for _ in range(3):
            trial = Ring(self.target)  # faults in what the interpreter itself needs
            trial.let_go()
            if not trial.faulted:
                break
        ring = self.held[name] = Ring(addr)
        return (ring.faulted,)

    def unshare(self) -> None:
        """Copy what memory the interpreter shares since a fork, so that its own faults are not counted."""
        with open("/proc/self/maps") as maps:
            ranges = [line.split()[0] for line in maps if " rw-p " in line]
        for text in ranges:
            start, end = (int(number, 16) for number in text.split("-"))
            if end <= self.reserved[0] or start >= self.reserved[1]:
                libc.madvise(start, end - start, MADV_POPULATE_WRITE)
        self.own = True

    def do_vmsplice(self, addr: int, name: int) -> None:
        """Put a reference of a page into a pipe."""
        self.held[name] = Pipe(addr)

    def do_let_go(self, name: int) -> None:
        """Undo a pin, or close a pipe."""
        self.held.pop(name).let_go()

    def do_peek(self, name: int) -> tuple[int]:
        """The byte that a pin or a pipe shows."""
        return (self.held[name].peek(),)

    # -- lifecycle ---------------------------------------------------------------------------------
    def do_fork(self, child: int, cpu: int, addr: int, nbytes: int) -> tuple[int]:
        """Fork an agent that serves socket `child`, without a range of memory if nbytes is not 0."""
        if nbytes:
            checked(libc.madvise(addr, nbytes, MADV_DONTFORK), "madvise")
        self.own = False
        pid = os.fork()
        if pid == 0:
            self.become(child, cpu)
            self.serve()
        if nbytes:
            checked(libc.madvise(addr, nbytes, MADV_DOFORK), "madvise")
        return (pid,)

    def become(self, child: int, cpu: int) -> None:
        """In a new child: what is the parent's is let go."""
        for held in self.held.values():
            held.forget()
        self.held = {}
        self.mine = child
        os.sched_setaffinity(0, {cpu})
        self.socks[child].send(b"ok")

    def do_exec(self) -> None:
        """Replace the program by a new agent on the same socket."""
        for name in list(self.held):
            self.do_let_go(name)
        numbers = [str(sock.fileno()) for sock in self.socks]
        os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, "serve", str(self.mine), *numbers])

    def do_exit(self) -> NoReturn:
        """Let go of everything, and exit."""
        for name in list(self.held):
            self.do_let_go(name)
        os._exit(0)


def launch(control: socket.socket) -> NoReturn:
    """Fork the first agent of each scenario; its sockets and its processor come with the request."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody is left a zombie
    while True:
        request, fds, _, _ = socket.recv_fds(control, 64, 256)
        if not request:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            control.close()
            socks = [socket.socket(fileno=fd) for fd in fds]
            for sock in socks:
                sock.set_inheritable(True)
            agent = Agent(socks, 0)
            agent.become(0, int(request))
            agent.serve()
        for fd in fds:
            os.close(fd)
        control.send(str(pid).encode())


def main() -> NoReturn:
    """Launch, or go on as an agent after exec."""
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: agents whose parent exits come to the launcher
    if sys.argv[1] == "launch":
        launch(socket.socket(fileno=int(sys.argv[2])))
    agent = Agent([socket.socket(fileno=int(number)) for number in sys.argv[3:]], int(sys.argv[2]))
    agent.socks[agent.mine].send(b"ok")
    agent.serve()


if __name__ == "__main__":
    main()

"""The processes of a scenario on the running kernel: a script that imports only the standard library.

Why a script of its own. A scenario forks real processes and counts their page faults, and the interpreter itself takes
part in both: fork copies its page tables, and after a fork its own writes fault as well. Under `python -I -S` the
process has 10 MB and no site packages, so a fork is fast, and few pages of its own can fault. FolioLab with numpy and
numba would have hundreds of megabytes. For the same reason the measuring process of the kernel bench is a script.

`agent.py launch FD` is the launcher. For each scenario it forks one agent, which maps memory and executes the commands
of `processes.Tree`; agents fork agents. Each agent has a socket (SEQPACKET). A command is a word and integers; the
answer is `ok` and integers, or `error` and a message. An agent exits when the other end of its socket is closed, so no
process outlives a FolioLab that was killed.

The launcher is a child subreaper: agents whose parent has exited become its children, and since it ignores SIGCHLD
the kernel reaps them. See docs/real-kernels.md, "How an outcome is known".
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
"""Number of bytes of a page that are spliced into a pipe."""
PR_SET_CHILD_SUBREAPER = 36

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
libc.syscall.restype = libc.tee.restype = ctypes.c_long
libc.tee.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint]


class IOVec(ctypes.Structure):  # noqa: D101
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def checked(result: int | None, what: str) -> int:
    """Return the result of a system call.

    Raises:
        OSError: the call failed.
    """
    if result is None or result in (-1, ctypes.c_void_p(-1).value):
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


class Ring:
    """An io_uring with one page as registered buffer: the only long-term pin that needs no device."""

    def __init__(self, addr: int) -> None:
        params = (ctypes.c_uint32 * 30)()
        self.fd = checked(libc.syscall(IO_URING_SETUP, 1, params), "io_uring_setup")
        self.addr = addr
        # struct io_uring_params has ten words, then the offsets of the fields of both rings.
        self.sq_tail, self.sq_array, self.cq_head = params[11], params[16], params[20]
        iov = IOVec(addr, PAGE)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        done = libc.syscall(IO_URING_REGISTER, self.fd, REGISTER_BUFFERS, ctypes.byref(iov), 1)
        self.faulted = int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt > before)
        if done < 0:
            number = ctypes.get_errno()
            os.close(self.fd)
            raise OSError(number, f"io_uring_register: {os.strerror(number)}")

    def peek(self) -> int:
        """The first byte of the buffer as a device sees it: io_uring writes it from the pinned page into a pipe."""
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

    def release(self) -> None:
        """Drop the pin: unregister and close.

        Closing alone drops it 5 to 20 ms later, from a work queue (docs/real-kernels.md, "Reproducible scenarios").
        """
        checked(libc.syscall(IO_URING_REGISTER, self.fd, UNREGISTER_BUFFERS, None, 0), "io_uring_register")
        os.close(self.fd)

    def close_inherited(self) -> None:
        """Close the descriptor in a forked child; the pin is the parent's."""
        os.close(self.fd)


class Pipe:
    """A pipe that holds a reference to a page."""

    def __init__(self, addr: int) -> None:
        self.out, self.into = os.pipe()
        iov = IOVec(addr, SPLICED)
        number = VMSPLICE.get(platform.machine())
        if number is None:
            raise OSError(f"the number of vmsplice on {platform.machine()} is not known")
        checked(libc.syscall(number, self.into, ctypes.byref(iov), 1, 0), "vmsplice")

    def peek(self) -> int:
        """The first byte of the page, through a second pipe: reading this one would drop the reference."""
        out, into = os.pipe()
        try:
            checked(libc.tee(self.out, into, 1, 0), "tee")
            return os.read(out, 1)[0]
        finally:
            os.close(out)
            os.close(into)

    def release(self) -> None:
        """Close both ends, which drops the reference at once."""
        os.close(self.out)
        os.close(self.into)

    close_inherited = release


class Agent:
    """One process of a scenario. Its methods `do_COMMAND` are the commands.

    Args:
        socks: the sockets of all agents of the scenario; descendants inherit them.
        number: of this agent's socket.
    """

    def __init__(self, socks: list[socket.socket], number: int) -> None:
        self.socks = socks
        self.number = number
        self.references: dict[int, Ring | Pipe] = {}
        self.reserved = 0, 0
        self.unshared = False
        """Whether the interpreter's memory was copied since the last fork (see `unshare`)."""
        self.dummy = mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.dummy_addr = ctypes.addressof(ctypes.c_char.from_buffer(self.dummy))

    def serve(self) -> NoReturn:
        """Execute commands until `exit`, or until the other end of the socket is closed."""
        while True:
            words = self.socks[self.number].recv(4096).split()
            if not words:
                os._exit(0)
            try:
                answer = getattr(self, f"do_{words[0].decode()}")(*map(int, words[1:]))
                reply = b"ok " + " ".join(map(str, answer or ())).encode()
            except Exception as fault:
                reply = f"error {words[0].decode()}: {fault}".encode()
            self.socks[self.number].send(reply)

    # -- memory ------------------------------------------------------------------------------------
    def do_reserve(self, nbytes: int) -> tuple[int]:
        """Find a free address range for all regions, aligned to 2 MiB."""
        addr = checked(libc.mmap(None, nbytes + PMD, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), "mmap")
        libc.munmap(addr, nbytes + PMD)
        base = (addr + PMD - 1) & ~(PMD - 1)
        self.reserved = base, base + nbytes
        return (base,)

    def do_map(self, addr: int, nbytes: int) -> None:
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED
        checked(libc.mmap(addr, nbytes, PROT_READ | PROT_WRITE, flags, -1, 0), "mmap")

    def do_populate(self, addr: int, nbytes: int, whole: int, huge: int, byte: int, split: int) -> list[int]:
        """Touch every page of a range of `nbytes`; 1 for each page that took a page fault: the first of each folio.

        The last madvise, on all `whole` bytes of the region, keeps the folios, stops khugepaged and makes later
        faults order-0 (docs/real-kernels.md, "Folios of a chosen size"). `split` maps PMD-sized folios by PTEs.
        """
        checked(libc.madvise(addr, whole, MADV_HUGEPAGE if huge else MADV_NOHUGEPAGE), "madvise")
        faults = self.do_write(addr, nbytes // PAGE, byte, 1)
        checked(libc.madvise(addr, whole, MADV_NOHUGEPAGE), "madvise")
        if split:
            for pmd in range(addr, addr + nbytes, PMD):
                self.do_mprotect(pmd + PAGE, PAGE)  # of one page: it splits the PMD and changes nothing else
        return faults

    def do_write(self, addr: int, nr: int, byte: int, nbytes: int) -> list[int]:
        """Store into each page; 1 for each store that took a page fault.

        The interpreter's own memory may be shared since a fork. The same stores to a page of its own fault that memory
        in before anything is counted.
        """
        for _ in range(3):
            if not any(self._stores(self.dummy_addr, nr, 0, byte, nbytes)):
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
        """Map the zero page by reading a page that was never written; its address."""
        addr = libc.mmap(None, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        ctypes.c_ubyte.from_address(checked(addr, "mmap")).value  # noqa: B018
        return (addr,)

    def do_munmap(self, addr: int, nbytes: int) -> None:
        checked(libc.munmap(addr, nbytes), "munmap")

    def do_dontneed(self, addr: int, nbytes: int) -> None:
        checked(libc.madvise(addr, nbytes, MADV_DONTNEED), "madvise")

    def do_cold(self, addr: int, nbytes: int) -> None:
        checked(libc.madvise(addr, nbytes, MADV_COLD), "madvise")

    def do_pageout(self, addr: int, nbytes: int) -> None:
        checked(libc.madvise(addr, nbytes, MADV_PAGEOUT), "madvise")

    def do_mprotect(self, addr: int, nbytes: int) -> None:
        """Make a range read-only, and writable again."""
        checked(libc.mprotect(addr, nbytes, PROT_READ), "mprotect")
        checked(libc.mprotect(addr, nbytes, PROT_READ | PROT_WRITE), "mprotect")

    def do_mremap(self, addr: int, nbytes: int, to: int) -> None:
        checked(libc.mremap(addr, nbytes, nbytes, MREMAP_MAYMOVE_FIXED, to), "mremap")

    # -- references --------------------------------------------------------------------------------
    def do_pin(self, addr: int, name: int) -> tuple[int]:
        """Pin a page; 1 if that took a page fault."""
        if not self.unshared:
            self.unshare()
        for _ in range(3):
            warm_up = Ring(self.dummy_addr)  # faults in what the interpreter needs for it
            warm_up.release()
            if not warm_up.faulted:
                break
        ring = self.references[name] = Ring(addr)
        return (ring.faulted,)

    def unshare(self) -> None:
        """Copy the memory that the interpreter shares since a fork, so that its own faults are not counted."""
        with open("/proc/self/maps") as maps:
            ranges = [line.split()[0] for line in maps if " rw-p " in line]
        for text in ranges:
            start, end = (int(number, 16) for number in text.split("-"))
            if end <= self.reserved[0] or start >= self.reserved[1]:
                libc.madvise(start, end - start, MADV_POPULATE_WRITE)
        self.unshared = True

    def do_vmsplice(self, addr: int, name: int) -> None:
        self.references[name] = Pipe(addr)

    def do_release(self, name: int) -> None:
        self.references.pop(name).release()

    def do_peek(self, name: int) -> tuple[int]:
        """The first byte of the page that a pin or a pipe refers to."""
        return (self.references[name].peek(),)

    # -- lifecycle ---------------------------------------------------------------------------------
    def do_fork(self, child: int, cpu: int, addr: int, nbytes: int) -> tuple[int]:
        """Fork an agent that serves socket `child`; if nbytes is not 0, without that range of memory."""
        if nbytes:
            checked(libc.madvise(addr, nbytes, MADV_DONTFORK), "madvise")
        self.unshared = False
        pid = os.fork()
        if pid == 0:
            self.become(child, cpu)
            self.serve()
        if nbytes:
            checked(libc.madvise(addr, nbytes, MADV_DOFORK), "madvise")
        return (pid,)

    def become(self, child: int, cpu: int) -> None:
        """Take over socket `child` in a new process, and close what belongs to the parent."""
        for reference in self.references.values():
            reference.close_inherited()
        self.references = {}
        self.number = child
        os.sched_setaffinity(0, {cpu})
        self.socks[child].send(b"ok")

    def do_exec(self) -> None:
        """Replace the program by a new agent on the same socket."""
        for name in list(self.references):
            self.do_release(name)
        descriptors = [str(sock.fileno()) for sock in self.socks]
        os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, "serve", str(self.number), *descriptors])

    def do_exit(self) -> NoReturn:
        for name in list(self.references):
            self.do_release(name)
        os._exit(0)


def launch(control: socket.socket) -> NoReturn:
    """Fork the first agent of each scenario. A request has the processor's number, and the sockets as descriptors."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps children by itself
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
    """Run as the launcher (`launch FD`), or as an agent after exec (`serve NUMBER FD…`)."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if sys.argv[1] == "launch":
        launch(socket.socket(fileno=int(sys.argv[2])))
    agent = Agent([socket.socket(fileno=int(number)) for number in sys.argv[3:]], int(sys.argv[2]))
    agent.socks[agent.number].send(b"ok")
    agent.serve()


if __name__ == "__main__":
    main()

"""Counting what compiled code executes: the trap flag stops after each instruction, and a signal's handler counts.

Counted are instructions in memory that no file is mapped to, which is where compiled code lies, and those of the C
library that it calls. Python's own are not: the interpreter changes its way as it gets warm. The counts are exact and
do not depend on other programs. Only x86-64 under Linux.

A step costs 1 µs on a machine of its own, and up to 40 µs in a virtual machine whose host takes each trap first.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import platform
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from foliolab.framework import host
from foliolab.framework.errors import FolioLabError

RIP: Final = 168
"""The offset of the instruction pointer in a signal's ucontext."""
SA_SIGINFO: Final = 4
SET_TRAP_FLAG: Final = bytes.fromhex("9c 48810c2400010000 9d c3")
"""pushfq; orq $0x100, (%rsp); popfq; ret"""
CLEAR_TRAP_FLAG: Final = bytes.fromhex("9c 48812424fffeffff 9d c3")
"""pushfq; andq $~0x100, (%rsp); popfq; ret"""
SECOND: Final = 64
"""Where the second of these functions lies."""
LIBRARY: Final = re.compile(r"/libc[.-][^/]*$|/ld-musl[^/]*$")
"""The C library's file."""
FIXED: Final = 7
"""Words of the handler's memory before the places of compiled code: instructions, locked ones, the last address,
whether compiled code runs, the number of places, and where the C library begins and ends."""
RANGES: Final = 4096
WORDS: Final = FIXED + 2 * RANGES


@dataclass(frozen=True)
class Executed:
    """The instructions of a call.

    Attributes:
        instructions: a repeated string instruction counts once.
        locked: those with a LOCK prefix, and xchg with memory.
    """

    instructions: int
    locked: int

    def __sub__(self, other: Executed) -> Executed:
        return Executed(self.instructions - other.instructions, self.locked - other.locked)


class NotCounted(FolioLabError):
    """Instructions cannot be counted on this machine."""


def unsupported() -> str:
    """Why instructions cannot be counted here; empty if they can."""
    if platform.machine() not in ("x86_64", "AMD64") or not sys.platform.startswith("linux"):
        return f"instructions are counted on x86-64 under Linux, and this is {platform.machine()}, {sys.platform}"
    return ""


def executed(call: Callable[[], object]) -> Executed:
    """Count the instructions of the compiled code that a call runs.

    Raises:
        NotCounted: this machine has no trap flag that FolioLab knows.
    """
    if why := unsupported():
        raise NotCounted(why, "leave out --cpu")
    return _stepper().count(call)


class _SigAction(ctypes.Structure):
    """struct sigaction of x86-64's C libraries."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_uint64 * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class _Stepper:
    """The handler, and the two functions that set and clear the trap flag."""

    def __init__(self) -> None:
        self.counts = np.zeros(WORDS, np.int64)
        self.handler = _handler(self.counts.ctypes.data)
        self.code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.code[: len(SET_TRAP_FLAG)] = SET_TRAP_FLAG
        self.code[SECOND : SECOND + len(CLEAR_TRAP_FLAG)] = CLEAR_TRAP_FLAG
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.code))
        self.begin, self.end = (ctypes.CFUNCTYPE(None)(self.start + at) for at in (0, SECOND))
        self.libc = ctypes.CDLL(None, use_errno=True)

    def count(self, call: Callable[[], object]) -> Executed:
        mine, before = _SigAction(handler=self.handler.address, flags=SA_SIGINFO), _SigAction()
        self.libc.sigaction(signal.SIGTRAP, ctypes.byref(mine), ctypes.byref(before))
        collecting = gc.isenabled()
        gc.disable()
        self.counts[:] = 0
        self._look()
        try:
            self.begin()
            try:
                call()
            finally:
                self.end()
        finally:
            if collecting:
                gc.enable()
            self.libc.sigaction(signal.SIGTRAP, ctypes.byref(before), None)
        return Executed(int(self.counts[0]), int(self.counts[1]))

    def _look(self) -> None:
        """Find where compiled code and the C library lie, for the handler."""
        compiled, library = [], [0, 0]
        for line in (host.PROC / "self" / "maps").read_text().splitlines():
            addresses, rights, _, _, _, *path = line.split(maxsplit=5)
            low, high = (int(text, 16) for text in addresses.split("-"))
            if "x" in rights and not path and not low <= self.start < high:
                compiled += [low, high]
            elif "x" in rights and path and LIBRARY.search(path[0]):
                library = [low, high]
        if len(compiled) > 2 * RANGES:
            raise NotCounted(
                f"compiled code lies in {len(compiled) // 2} places, more than {RANGES}", "leave out --cpu"
            )
        self.counts[FIXED - 2 : FIXED] = library
        self.counts[FIXED - 3] = len(compiled) // 2
        self.counts[FIXED : FIXED + len(compiled)] = compiled


@cache
def _stepper() -> _Stepper:
    return _Stepper()


def _generate_byte(typing: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(pointer), ir.IntType(64))

    return types.int64(types.int64), generate


def _generate_word(typing: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()))

    return types.int64(types.int64), generate


def _generate_store(typing: Any, address: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()))
        return context.get_dummy_value()

    return types.none(types.int64, types.int64), generate


_byte: Any = intrinsic(_generate_byte)
_word: Any = intrinsic(_generate_word)
_store: Any = intrinsic(_generate_store)


@numba.njit
def _runs_compiled(counts, address):  # type: ignore[no-untyped-def]  # numba gives the types, here and below
    """Whether an instruction is one of compiled code, or of the C library that compiled code has called."""
    for index in range(_word(counts + 32)):
        place = counts + 8 * FIXED + 16 * index
        if _word(place) <= address < _word(place + 8):
            return 1
    if _word(counts + 40) <= address < _word(counts + 48):
        return _word(counts + 24)
    return 0


@numba.njit
def _decoded(address):  # type: ignore[no-untyped-def]
    """Whether an instruction is locked, and whether it is repeated."""
    locked = repeated = 0
    while True:
        byte = _byte(address)
        if byte == 0xF0:
            locked = 1
        elif byte in (0xF2, 0xF3):
            repeated = 1
        elif byte not in (0x66, 0x67, 0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65):
            break
        address += 1
    if byte & 0xF0 == 0x40:  # a REX prefix
        address += 1
        byte = _byte(address)
    if byte in (0x86, 0x87) and _byte(address + 1) < 0xC0:  # xchg with memory
        locked = 1
    return locked, repeated


def _handler(counts: int) -> Any:
    """The signal's handler; it adds the instruction that comes next to the counts at an address; see `FIXED`.

    A repeated string instruction traps after each repetition, and is counted at the first.
    """

    @numba.cfunc(types.void(types.int32, types.int64, types.int64))
    def handle(number, information, context):  # type: ignore[no-untyped-def]
        address = _word(context + RIP)
        inside = _runs_compiled(counts, address)
        _store(counts + 24, inside)
        if inside:
            locked, repeated = _decoded(address)
            if not (repeated and address == _word(counts + 16)):
                _store(counts, _word(counts) + 1)
                _store(counts + 8, _word(counts + 8) + locked)
            _store(counts + 16, address)

    return handle

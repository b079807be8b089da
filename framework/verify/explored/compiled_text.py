"""The compiled C text of a policy as the explored attack runs it: every access of the compiled code is a step.

The compiler calls a hook before each plain load and store (-fsanitize=thread), and the primitives are calls. So the
code goes on only with the results that the run of a thread gives it: a value to be loaded is put into memory before the
load and taken out with the next access, and what a store has written is taken out then, too, and becomes its step. A
run that ends in the middle of an entry leaves it by a long jump.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.csource import ccompiler, compiled
from foliolab.framework.csource.compilertext import ENTRY, EXPLORED, NATIVE, header
from foliolab.framework.engine import calls
from foliolab.framework.errors import CSourceError
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.ref import Ref
from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.primitives import Interposer, Text

FLAGS: Final = ("-fsanitize=thread",)
CLANG_FLAGS: Final = (*FLAGS, "-mllvm", "-tsan-instrument-read-before-write=1")
"""clang does not tell of a load that a store to the same place follows, unless it is asked to."""
PLAIN_LOAD, PLAIN_STORE, TRYLOCK = 100, 101, 102
"""What the compiled code does besides `steps`: accesses without a primitive, and a bit lock that is tried."""
NUMBERS: Final = {
    "LOAD": s.LOAD, "STORE": s.STORE, "AND_STORE": s.AND_STORE, "LOCKED_STORE": s.LOCKED_STORE, "ADD": s.ADD,
    "ADD_RETURN": s.ADD_RETURN, "FETCH_ADD": s.FETCH_ADD, "ADD_TEST_ZERO": s.ADD_TEST_ZERO,
    "ADD_TEST_NEGATIVE": s.ADD_TEST_NEGATIVE, "XCHG": s.XCHG, "CMPXCHG": s.CMPXCHG, "LOCK": s.LOCK, "RELAX": s.RELAX,
    "BARRIER": s.BARRIER, "PLAIN_LOAD": PLAIN_LOAD, "PLAIN_STORE": PLAIN_STORE, "TRYLOCK": TRYLOCK,
}  # fmt: skip
WORD: Final = 64
_STEP: Final = ctypes.CFUNCTYPE(
    ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long
)
Entry = Callable[..., int]


class CompiledText(Text):
    """The entry points of the engine in their explored form, and a policy's entries in their compiled form.

    Args:
        scheme: was written in C.

    Raises:
        CSourceError: its text cannot be compiled.
    """

    def __init__(self, scheme: Scheme) -> None:
        super().__init__(scheme)
        code = _Code(scheme, self.interposer)
        self.interposer.entries = tuple(
            code.entry(entry.__name__, translated)
            for entry, translated in zip(calls.ENTRIES, self.interposer.entries, strict=True)
        )


@cache
def compiled_text_of(scheme: Scheme) -> CompiledText:
    """The compiled form of a scheme's text, built once."""
    return CompiledText(scheme)


class _Code:
    """The compiled code, and the step that it is at.

    Attributes:
        libraries: the extracted functions, and behind them the whole file, if that is compiled.
        running: the one that the entry is of.
        fault: what ended the run in the middle of an entry.
        loaded: the place of the value that was put into memory for a load, and the bytes that were there.
        stored: the place of a store that may have happened, and the bytes that were there.
    """

    def __init__(self, scheme: Scheme, interposer: Interposer) -> None:
        numbers = "".join(f"#define FL_{name} {number}\n" for name, number in NUMBERS.items())
        explored = numbers + header(EXPLORED)
        flags = CLANG_FLAGS if ccompiler.is_clang() else FLAGS
        made = [compiled.compiled(scheme, lambda text: text.replace(header(NATIVE), explored), flags)]
        whole, _ = compiled.whole_of(scheme, explored, flags)
        made += [whole.data] if whole is not None else []
        self.libraries = [compiled.loaded(scheme, data) for data in made]
        self.running = self.libraries[0]
        self.interposer = interposer
        self.memory: Memory | None = None
        self.fault: BaseException | None = None
        self.loaded: tuple[int, NDArray[np.uint8]] | None = None
        self.stored: tuple[int, NDArray[np.uint8]] | None = None
        self._step = _STEP(self._called)
        self._refs: dict[tuple[int, int], Ref] = {}
        self._bases: tuple[tuple[str, int], ...] = ()

    def entry(self, name: str, translated: Entry) -> Entry:
        """The compiled form of an entry; the translation's where the C text has none."""
        found = (library for library in reversed(self.libraries) if hasattr(library, ENTRY + name))
        library = next(found, None)
        if library is None:
            return translated
        function = getattr(library, ENTRY + name)
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long, ctypes.c_void_p, ctypes.c_long]
        function.restype = ctypes.c_long

        def call(folio: Any, page: Any, nr: int, mm: Any, vpn: int = 0) -> int:
            self.running = library
            return int(self.interposer.run.function(self._run, (function, folio, page, nr, mm, vpn)))

        return call

    def _run(self, function: Any, folio: Any, page: Any, nr: int, mm: Any, vpn: int) -> int:
        memory: Memory = folio.mem
        if memory is not self.memory:
            self.memory = memory
            self._refs.clear()
            for library in self.libraries:
                library.foliolab_begin(
                    self._step, ctypes.c_void_p(memory.addr), ctypes.c_void_p(memory.addr + memory.size)
                )
        bases = (("folio", folio.off), ("mm", mm.off))
        if bases != self._bases:
            self._bases = bases
            self._refs.clear()
        self.fault = self.loaded = self.stored = None
        at = [memory.addr + one.off for one in (folio, page, mm)]
        answer = int(function(at[0], at[1], nr, at[2], vpn))
        self._end()
        return answer

    def _end(self) -> None:
        """The entry has returned, or was left in the middle."""
        fault, self.fault = self.fault, None
        if fault is not None:
            self._put_back()
            raise fault
        self._settle()

    # -- called by the compiled code -----------------------------------------------------------------
    def _called(self, place: int, bit: int, bits: int, signed: int, step: int, operand: int, other: int) -> int:
        try:
            self._settle()
            return self._done(place, bit, bits, signed, step, operand, other)
        except BaseException as fault:  # also Stop, and the end of patience: nothing passes through C
            self.fault = fault
            self.running.foliolab_stop()
            return 0

    def _done(self, place: int, bit: int, bits: int, signed: int, step: int, operand: int, other: int) -> int:
        run = self.interposer.run
        if step == s.RELAX:
            run.relax()
            return 0
        if step == s.BARRIER:
            run.barrier()
            return 0
        assert self.memory is not None
        off = place - self.memory.addr
        if step in (PLAIN_LOAD, PLAIN_STORE):
            self._plain(off, bits, step)
            return 0
        ref = self._ref(off, bits if bits > 1 else WORD)
        if step == s.LOCK:
            run.lock(bit, ref)
            return 0
        if step == TRYLOCK:
            return int(run.try_lock(bit, ref))
        if bits > 1 and step in (s.STORE, s.XCHG):
            operand = _fitting(ref, bits, operand)
        return int(run.access(ref, step, (off & 7) * 8 + bit, bits, bool(signed), operand, other))

    # -- plain accesses ------------------------------------------------------------------------------
    def _plain(self, off: int, bits: int, step: int) -> None:
        assert self.memory is not None
        if bits > WORD or (off & 7) * 8 + bits > WORD:
            raise CSourceError(
                f"the compiled text accesses {bits // 8} bytes at once, at byte {off} of memory",
                "order the fields such that what is accessed together lies in one word",
            )
        view = self.memory.buffer[off : off + bits // 8]
        old = view.copy()
        if step == PLAIN_STORE:
            self.stored = off, old
            return
        ref = self._ref(off, bits)
        value = int(self.interposer.run.access(ref, s.LOAD, (off & 7) * 8, bits, _is_signed(ref, bits), 0, 0))
        self.loaded = off, old
        view[:] = np.frombuffer((value & (1 << bits) - 1).to_bytes(bits // 8, "little"), np.uint8)

    def _settle(self) -> None:
        """What the last plain access left: its value goes out of memory, and a store becomes a step."""
        assert self.memory is not None
        stored = self.stored
        written = None if stored is None else self.memory.buffer[stored[0] : stored[0] + stored[1].size].tobytes()
        self._put_back()
        if stored is not None and written is not None:
            off, bits = stored[0], 8 * stored[1].size
            ref = self._ref(off, bits)
            value = _fitting(ref, bits, int.from_bytes(written, "little"))
            self.interposer.run.access(ref, s.STORE, (off & 7) * 8, bits, _is_signed(ref, bits), value, 0)

    def _put_back(self) -> None:
        assert self.memory is not None
        for kept in (self.loaded, self.stored):
            if kept is not None:
                self.memory.buffer[kept[0] : kept[0] + kept[1].size] = kept[1]
        self.loaded = self.stored = None

    # -- fields --------------------------------------------------------------------------------------
    def _ref(self, off: int, bits: int) -> Ref:
        """The field at a place: the one of that width, or the first that has the place in it."""
        key = (off, bits)
        if key not in self._refs:
            self._refs[key] = self._found(off, bits)
        return self._refs[key]

    def _found(self, off: int, bits: int) -> Ref:
        assert self.memory is not None
        stride = self.memory.pointers["page"].struct.size
        near: Ref | None = None
        for struct, base in (*self._bases, ("page", off // stride * stride)):
            pointer = self.memory.at(struct, base)
            for field in pointer.struct.fields:
                whole: Ref = getattr(pointer, field.name)
                for one in (whole[i] for i in range(field.count)) if field.count > 1 else (whole,):
                    if one.off == off and one.ctype.bits == bits:
                        return one
                    if near is None and one.off <= off < one.off + one.ctype.bytes:
                        near = one
        if near is None:
            raise CSourceError(f"the compiled text accesses byte {off} of memory, which is in no field")
        return near


def _is_signed(ref: Ref, bits: int) -> bool:
    return ref.ctype.signed and ref.ctype.bits == bits


def _fitting(ref: Ref, bits: int, value: int) -> int:
    """A pattern of bits as the field's number: what the compiled code stores is of the field's width."""
    if ref.ctype.bits == bits:
        return ref.ctype.wrapped(value)
    value &= (1 << bits) - 1
    return value - (1 << bits) if bits == WORD and value >> WORD - 1 else value

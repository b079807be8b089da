"""Native code: a call tree of plain functions, specialised and compiled, kept in the disk cache.

What is in the cache is loaded and run without numba; `builder`, which imports it, makes what is not.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foliolab.framework.errors import NativeBuildError
from foliolab.framework.machine import cache, toolchain
from foliolab.framework.machine.buildlock import building
from foliolab.framework.machine.calltree import CallTree, Function
from foliolab.framework.machine.layout import Layouts
from foliolab.framework.machine.loaded import Loaded, spin_yields

if TYPE_CHECKING:
    from foliolab.framework.machine.builder import Builder

TABLE_CALLS: Final[dict[Function, int]] = {}
"""The functions that call an entry of the table in front of the memory, and how many arguments the entry takes."""
_WORDS: Final = {"v": 2, "t": 3}
"""How many words an argument is that is an array."""
_making: Final = RLock()
"""Held while a thread loads or builds: a process has the lock of an entry as a whole (see `buildlock`)."""


def register_table_call(function: Function, count: int) -> None:
    """Make `function(vm, entry, …)` a native call of the entry of that number (see `Library.table`).

    Args:
        count: of the arguments that the entry takes.
    """
    TABLE_CALLS[function] = count


def yields() -> int:
    """How often a spinning thread gave up its time slice since the process started."""
    return int(spin_yields.value)


class Library:
    """The native forms of one call tree, compiled when first asked for.

    Args:
        tree: the functions, with a policy's hooks and constants in place.
        layouts: the structs that pointers refer to.
        quick: whether to try `compiler`. What it compiles must not call what numba compiled, which may raise.
        one_thread: whether only one thread at a time runs the code on a memory (see `codegen`).

    Attributes:
        quick: as above; False after a table that numba had to compile.
    """

    def __init__(self, tree: CallTree, layouts: Layouts, quick: bool = True, one_thread: bool = False) -> None:
        self.tree = tree
        self.layouts = layouts
        self.quick = quick
        self.one_thread = one_thread
        self._compiled: dict[tuple[Function, str], Callable[..., Any]] = {}
        self._tables: dict[str, tuple[Any, str]] = {}
        self._made_by: Builder | None = None

    def key(self, function: Function, kinds: str) -> str:
        """Content hash of a function with everything that it reaches."""
        whole = hashlib.sha256(toolchain.digest())
        whole.update(f"{self.tree.digest(function)} {self.layouts.digest} {kinds} {self.one_thread}".encode())
        return whole.hexdigest()

    def is_cached(self, function: Function, kinds: str) -> bool:
        """Whether `get` will find native code on disk."""
        keys = self.key(function, kinds), _quick(self._table_key([function], kinds))
        return (function, kinds) in self._compiled or any(map(cache.has, keys[: 1 + self.quick]))

    def get(self, function: Function, kinds: str) -> Callable[..., Any]:
        """The native form of a function.

        Args:
            function: a root of the tree.
            kinds: one letter per argument: m memory (passed as its address), i integer, f folio, p page, a MM;
                v and t arrays of one and two dimensions, int64 and contiguous (never in a policy's text).

        Raises:
            NativeBuildError: it cannot be compiled; names the author's file and line.
        """
        if (function, kinds) not in self._compiled:
            with _making:
                self._compiled[function, kinds] = self._quick_function(function, kinds) or _made(
                    self.key(function, kinds),
                    lambda data: self._builder().revived_function(data),
                    lambda: self._build(function, kinds).entry_point,
                )
        return self._compiled[function, kinds]

    def table(self, functions: Sequence[Function], kinds: str) -> list[int]:
        """The addresses of native forms that other native code calls, for `register_table_call`.

        They are compiled together, into one entry of the cache, and follow C's calling convention.
        """
        key = self._table_key(functions, kinds)
        with _making:
            if key not in self._tables:
                self._tables[key] = self._quick_table(functions, kinds, key) or (
                    _made(
                        key,
                        lambda data: self._builder().revived_table(data),
                        lambda: self._builder().table(functions, kinds, key),
                    ),
                    key,
                )
        code, name = self._tables[key]
        return [code.get_pointer_to_function(symbol(name, i)) for i in range(len(functions))]

    def is_quick(self, functions: Sequence[Function], kinds: str) -> bool:
        """Whether `compiler` compiles a table of these functions."""
        if self.quick and not cache.has(_quick(self._table_key(functions, kinds))):
            with _making:
                self.quick = self._builder().fits(functions, kinds)
        return self.quick

    def is_table_cached(self, functions: Sequence[Function], kinds: str) -> bool:
        """Whether `table` will find native code on disk."""
        key = self._table_key(functions, kinds)
        return cache.has(_quick(key)) or cache.has(key)

    def assembly(self, function: Function, kinds: str) -> str:
        """The machine code of a function as text; the function is compiled again."""
        with _making:
            return self._builder().assembly(function, kinds)

    def _quick_function(self, function: Function, kinds: str) -> Callable[..., int] | None:
        if not self.quick:
            return None
        key = _quick(self._table_key([function], kinds))
        made = self._quick_code([function], kinds, key)
        return None if made is None else _callable(made.get_pointer_to_function(symbol(key, 0)), kinds)

    def _quick_table(self, functions: Sequence[Function], kinds: str, key: str) -> tuple[Any, str] | None:
        made = self._quick_code(functions, kinds, _quick(key)) if self.quick else None
        self.quick = made is not None
        return None if made is None else (made, _quick(key))

    def _quick_code(self, functions: Sequence[Function], kinds: str, key: str) -> Any:
        """The code of functions, loaded or compiled by `compiler`; None if they are not for it."""
        return _made(key, Loaded, lambda: self._builder().quick(functions, kinds, key))

    def _table_key(self, functions: Sequence[Function], kinds: str) -> str:
        return hashlib.sha256("".join(self.key(one, kinds) for one in functions).encode()).hexdigest()

    def _build(self, function: Function, kinds: str) -> Any:
        return self._builder().function(function, kinds, self.key(function, kinds))

    def _builder(self) -> Builder:
        if self._made_by is not None:
            return self._made_by
        try:
            from foliolab.framework.machine.builder import Builder
        except (ImportError, OSError) as fault:  # it could be imported when the program started
            raise NativeBuildError(
                toolchain.missing(look=True) or f"numba cannot be imported ({fault})",
                "install it again: pip install --force-reinstall numba; without it everything runs interpreted",
            ) from fault
        self._made_by = Builder(self)
        return self._made_by


def _quick(key: str) -> str:
    """The key of what `compiler` compiles, by that of what numba compiles."""
    return hashlib.sha256(f"quick {key}".encode()).hexdigest()


def symbol(key: str, i: int) -> str:
    """A name that is unique in the process: symbols of all libraries share one name space."""
    return f"foliolab_entry_{key[:24]}_{i}"


def _callable(address: int, kinds: str) -> Callable[..., int]:
    """A native function for Python; it runs without the interpreter's lock."""
    words = sum(_WORDS.get(kind, 1) for kind in kinds)
    run = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * words)(address)
    if set(kinds) & _WORDS.keys():
        return lambda *values: run(*(word for value in values for word in _words(value)))

    def call(*numbers: int) -> int:
        try:
            answer: int = run(*numbers)
        except ctypes.ArgumentError:  # numpy's numbers
            answer = run(*map(int, numbers))
        return answer

    return call


def _words(value: Any) -> tuple[int, ...]:
    """A number, or an array as its address and its lengths.

    Raises:
        TypeError: the array is not contiguous, or of something else than int64.
    """
    if not isinstance(value, np.ndarray):
        return (int(value),)
    if value.dtype != np.int64 or not value.flags.c_contiguous:
        raise TypeError(f"an array of {value.dtype} with strides {value.strides}")
    return (value.ctypes.data, *value.shape)


def _made(key: str, revive: Callable[[bytes], Any], build: Callable[[], Any]) -> Any:
    """An entry of the cache, loaded or built; of several processes that need it at once, one builds it."""
    found = _revive(key, revive)
    if found is None:
        with building(key):
            found = _revive(key, revive) or build()
    return found


def _revive(key: str, make: Callable[[bytes], Any]) -> Any:
    """What `make` makes of a cache entry; None without one. An entry that cannot be loaded is dropped."""
    payload = cache.read(key)
    try:
        return None if payload is None else make(payload)
    except Exception:  # such an entry may raise anything; the code is built again
        cache.drop(key)
        return None

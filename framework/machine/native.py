"""Native code: a call tree of plain functions, specialised and compiled, kept in the disk cache.

`compiler` compiles what policies and the engine are made of; numba compiles call trees that use more of Python.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache as remember
from itertools import count
from pathlib import Path
from types import FunctionType
from typing import Any, Final, cast

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba import types

from foliolab.framework.errors import NativeBuildError
from foliolab.framework.machine import addressing, cache, lowering, nativetypes, objectcode
from foliolab.framework.machine.buildlock import building
from foliolab.framework.machine.calltree import CallTree, Function, where
from foliolab.framework.machine.codegen import CALLEE, SHARED, callee, own_code_generator
from foliolab.framework.machine.compiler import Compiler
from foliolab.framework.machine.layout import Layouts
from foliolab.framework.machine.numba_parts import NumbaError, UnsupportedBytecodeError, cpu_target
from foliolab.framework.machine.primitives import require_all

NATIVE_FORMS: Final = (addressing, lowering)
"""The modules that register the primitives' native forms when they are imported."""
require_all(frozenset(nativetypes.FORMS), "native", "framework/machine/lowering.py (or addressing.py)")
FRAMEWORK: Final = Path(__file__).resolve().parents[1]
_POINTERS: Final = {"f": "folio", "p": "page", "a": "mm"}
_ARRAYS: Final = {"v": types.int64[::1], "t": types.int64[:, ::1]}
_LOCATION: Final = re.compile(
    r'File "(?P<file>[^"]+)", line (?P<line>\d+)|(?:at|from) (?P<file2>/\S+) \((?P<line2>\d+)\)'
)


_texts: Final = count()


@remember
def _toolchain() -> bytes:
    """What native code depends on besides the call tree: this folder's text, the compiler, the CPU."""
    whole = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        whole.update(file.read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    versions = (numba.__version__, llvmlite.__version__, sys.version_info[:3])
    whole.update(repr((versions, platform.machine(), llvm.get_host_cpu_name(), features)).encode())
    whole.update(repr((sorted(CALLEE.items()), sorted(SHARED.items()))).encode())
    return whole.digest()


def yields() -> int:
    """How often a spinning thread gave up its time slice since the process started."""
    return int(lowering.spin_yields.value)


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
        self._built: list[Any] = []
        self._tables: dict[str, tuple[Any, str]] = {}
        self._twins: dict[Any, Any] | None = None

    def key(self, function: Function, kinds: str) -> str:
        """Content hash of a function with everything that it reaches."""
        whole = hashlib.sha256(_toolchain())
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
            with own_code_generator(self.one_thread):
                self._compiled[function, kinds] = self._quick_function(function, kinds) or _made(
                    self.key(function, kinds), objectcode.function, lambda: self._build(function, kinds).entry_point
                )
        return self._compiled[function, kinds]

    def table(self, functions: Sequence[Function], kinds: str) -> list[int]:
        """The addresses of native forms that other native code calls, for `register_table_call`.

        They are compiled together, into one entry of the cache, and follow C's calling convention.
        """
        key = self._table_key(functions, kinds)
        with own_code_generator(self.one_thread):
            if key not in self._tables:
                self._tables[key] = self._quick_table(functions, kinds, key) or (
                    _made(key, objectcode.library, lambda: self._build_table(functions, kinds, key)),
                    key,
                )
        code, name = self._tables[key]
        return [code.get_pointer_to_function(_symbol(name, i)) for i in range(len(functions))]

    def is_quick(self, functions: Sequence[Function], kinds: str) -> bool:
        """Whether `compiler` compiles a table of these functions."""
        if self.quick and not cache.has(_quick(self._table_key(functions, kinds))):
            with own_code_generator(self.one_thread) as generator:
                self.quick = self._emit(
                    generator.create_library("fits").create_ir_module("fits"), functions, kinds, "fits"
                )
        return self.quick

    def _quick_function(self, function: Function, kinds: str) -> Callable[..., int] | None:
        if not self.quick:
            return None
        key = _quick(self._table_key([function], kinds))
        made = self._quick_code([function], kinds, key)
        return None if made is None else _callable(made.get_pointer_to_function(_symbol(key, 0)), kinds)

    def _quick_table(self, functions: Sequence[Function], kinds: str, key: str) -> tuple[Any, str] | None:
        made = self._quick_code(functions, kinds, _quick(key)) if self.quick else None
        self.quick = made is not None
        return None if made is None else (made, _quick(key))

    def _quick_code(self, functions: Sequence[Function], kinds: str, key: str) -> Any:
        """The code of functions, loaded or compiled by `compiler`; None if they are not for it."""

        def build() -> Any:
            made = self._compiled_quickly(functions, kinds, key)
            if made is not None:
                cache.write(key, objectcode.of_library(made))
            return made

        return _made(key, objectcode.library, build)

    def _compiled_quickly(self, functions: Sequence[Function], kinds: str, key: str) -> Any:
        made = cpu_target.target_context.codegen().create_library(f"foliolab.{key}")
        made.enable_object_caching()
        module = made.create_ir_module(f"foliolab.{key}")
        if not self._emit(module, functions, kinds, key):
            return None
        made.add_ir_module(module)
        made.finalize()
        return made

    def _emit(self, module: Any, functions: Sequence[Function], kinds: str, key: str) -> bool:
        """Let `compiler` put functions into a module; False if they are not for it."""
        compiler = Compiler(self.tree, module, cpu_target.target_context, f"foliolab.{key[:24]}")
        try:
            for i, function in enumerate(functions):
                actual = cast(FunctionType, self.tree.replace.get(function, function))
                compiler.export(actual, list(map(self._kind, kinds)), _symbol(key, i))
        except Exception:  # `Unfit`, or a text that nobody thought of: numba compiles it, or says what is wrong
            return False
        return True

    def is_table_cached(self, functions: Sequence[Function], kinds: str) -> bool:
        """Whether `table` will find native code on disk."""
        key = self._table_key(functions, kinds)
        return cache.has(_quick(key)) or cache.has(key)

    def _table_key(self, functions: Sequence[Function], kinds: str) -> str:
        return hashlib.sha256("".join(self.key(one, kinds) for one in functions).encode()).hexdigest()

    def _build_table(self, functions: Sequence[Function], kinds: str, key: str) -> Any:
        context = cpu_target.target_context
        signature = tuple(map(self._kind, kinds))
        made = context.codegen().create_library(f"foliolab.table.{key}")
        made.enable_object_caching()
        module = made.create_ir_module(f"foliolab.table.{key}")
        for i, function in enumerate(functions):
            twin = self._twin(function)
            try:
                twin.compile(signature)
            except (NumbaError, UnsupportedBytecodeError) as fault:
                raise _explain(function, fault, self._author_files()) from fault
            result = twin.overloads[signature]
            addressing.define_table_entry(context, module, _symbol(key, i), result.fndesc)
            made.add_linking_library(result.library)
        made.add_ir_module(module)
        made.finalize()
        cache.write(key, objectcode.of_library(made))
        return made

    def assembly(self, function: Function, kinds: str) -> str:
        """The machine code of a function as text; the function is compiled again."""
        with own_code_generator(self.one_thread):
            made = self._compiled_quickly([function], kinds, f"text{next(_texts)}")
            return str((made or self._build(function, kinds).library).get_asm_str())

    def _build(self, function: Function, kinds: str) -> Any:
        top = numba.njit(**SHARED)(self._twin(function).py_func)
        try:
            top.compile(tuple(map(self._kind, kinds)))
        except (NumbaError, UnsupportedBytecodeError) as fault:
            raise _explain(function, fault, self._author_files()) from fault
        (made,) = top.overloads.values()
        for environment in made._find_referenced_environments():
            made.library.codegen.set_env(environment.env_name, environment)
        self._built.append(made)  # it alone holds the environments that the code refers to
        if data := objectcode.of_function(made):
            cache.write(self.key(function, kinds), data)
        return made

    def _author_files(self) -> set[Path]:
        files = {Path(function.__code__.co_filename).resolve() for function in self.tree.needs}
        return {file for file in files if not file.is_relative_to(FRAMEWORK)}

    def _kind(self, letter: str) -> Any:
        if letter in _POINTERS:
            return nativetypes.PointerType(self.layouts, _POINTERS[letter])
        if letter in _ARRAYS:
            return _ARRAYS[letter]
        return nativetypes.MemoryType(self.layouts) if letter == "m" else nativetypes.INT

    def _twin(self, function: Function) -> Any:
        if self._twins is None:
            self._twins = self.tree.copies(callee)
        return self._twins[cast(FunctionType, self.tree.replace.get(function, function))]


def _quick(key: str) -> str:
    """The key of what `compiler` compiles, by that of what numba compiles."""
    return hashlib.sha256(f"quick {key}".encode()).hexdigest()


def _callable(address: int, kinds: str) -> Callable[..., int]:
    """A native function for Python; it runs without the interpreter's lock."""
    words = sum({"v": 2, "t": 3}.get(kind, 1) for kind in kinds)
    run = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * words)(address)
    if set(kinds) & _ARRAYS.keys():
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


def _symbol(key: str, i: int) -> str:
    """A name that is unique in the process: symbols of all libraries share one name space."""
    return f"foliolab_entry_{key[:24]}_{i}"


def _explain(function: Function, fault: Exception, authors: set[Path]) -> NativeBuildError:
    """The author's file and line, and numba's reason, out of its long report."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(fault))
    found = [(Path(m["file"] or m["file2"]).resolve(), m["line"] or m["line2"]) for m in _LOCATION.finditer(text)]
    # numba names the innermost location first
    found = [(file, line) for file, line in found if file in authors] or found[-1:]
    location = f"{found[0][0]}:{found[0][1]}" if found else where(function)
    reasons = [
        line.strip(" -")
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith(("File", "During", "Failed in", "<source", "^"))
    ]
    known = [
        r
        for r in reasons
        if re.search(r"Unknown attribute|Untyped|Cannot unify|No implementation|not supported|Use of|cannot", r)
    ]
    if re.search(r"\bRef\(", text) and "No implementation" in text:
        known = ["a field is used as if it were its value: read it by load() or atomic_read()"]
    if "NRT required" in text:
        known = ["it needs an object that grows (a dict, list, set or string)"]
    reason = known[0] if known else reasons[-1] if reasons else "numba gave no reason"
    if hook := re.search(r"\bhooks\.(\w+?)(?:_at)?\(", reason):
        reason = f"the hook {hook[1]} does not return what it should"
    return NativeBuildError(
        f"{location}: cannot be compiled: {reason}",
        "run it interpreted first for a fuller message; only integers, references, pointers and primitives compile",
    )

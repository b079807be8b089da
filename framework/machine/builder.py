"""Builds native code: `compiler` compiles what policies and the engine are made of, numba what uses more of Python.

What is made goes into the disk cache. This module imports numba.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, cast

import numba
from numba import types

from foliolab.framework.errors import NativeBuildError
from foliolab.framework.machine import addressing, cache, lowering, native, nativetypes, objectcode
from foliolab.framework.machine.calltree import Function, where
from foliolab.framework.machine.codegen import SHARED, callee, own_code_generator
from foliolab.framework.machine.compiler import Compiler
from foliolab.framework.machine.loaded import kept
from foliolab.framework.machine.numba_parts import NumbaError, UnsupportedBytecodeError, cpu_target
from foliolab.framework.machine.primitives import require_all

if TYPE_CHECKING:
    from foliolab.framework.machine.native import Library

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


class Builder:
    """Builds the native forms of one library's call tree.

    Args:
        library: the functions, the structs, and whether one thread alone runs the code.
    """

    def __init__(self, library: Library) -> None:
        self.tree = library.tree
        self.layouts = library.layouts
        self.one_thread = library.one_thread
        self._built: list[Any] = []
        self._twins: dict[Any, Any] | None = None
        for function, arguments in native.TABLE_CALLS.items():
            if function not in nativetypes.FORMS:
                addressing.register_table_call(function, arguments)

    # -- what `compiler` compiles ------------------------------------------------------------------------
    def quick(self, functions: Sequence[Function], kinds: str, key: str) -> Any:
        """The code of functions under the names of `native.symbol`, now in the cache; None if `compiler` knows not how.

        Args:
            kinds: of the arguments, see `native.Library.get`.
        """
        with own_code_generator(self.one_thread):
            made = self._compiled_quickly(functions, kinds, key)
            if made is not None:
                cache.write(key, kept(objectcode.of_library(made).code))
        return made

    def fits(self, functions: Sequence[Function], kinds: str) -> bool:
        """Whether `compiler` compiles functions."""
        with own_code_generator(self.one_thread) as generator:
            return self._emit(generator.create_library("fits").create_ir_module("fits"), functions, kinds, "fits")

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
                compiler.export(actual, list(map(self._kind, kinds)), native.symbol(key, i))
        except Exception:  # `Unfit`, or a text that nobody thought of: numba compiles it, or says what is wrong
            return False
        return True

    # -- what numba compiles -----------------------------------------------------------------------------
    def function(self, function: Function, kinds: str, key: str) -> Any:
        """A function that Python calls, as numba's result; it is now in the cache.

        Raises:
            NativeBuildError: it cannot be compiled; names the author's file and line.
        """
        with own_code_generator(self.one_thread):
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
                cache.write(key, data)
            return made

    def table(self, functions: Sequence[Function], kinds: str, key: str) -> Any:
        """The code of functions that native code calls, under the names of `native.symbol`; it is now in the cache.

        Raises:
            NativeBuildError: one cannot be compiled; names the author's file and line.
        """
        with own_code_generator(self.one_thread):
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
                addressing.define_table_entry(context, module, native.symbol(key, i), result.fndesc)
                made.add_linking_library(result.library)
            made.add_ir_module(module)
            made.finalize()
            cache.write(key, objectcode.encoded(objectcode.of_library(made)))
            return made

    def revived_function(self, data: bytes) -> Any:
        """What `function` had built, of the cache's bytes."""
        with own_code_generator(self.one_thread):
            return objectcode.function(data)

    def revived_table(self, data: bytes) -> Any:
        """What `table` had built, of the cache's bytes."""
        with own_code_generator(self.one_thread):
            return objectcode.library(data)

    def assembly(self, function: Function, kinds: str) -> str:
        """The machine code of a function as text; it is compiled again."""
        with own_code_generator(self.one_thread):
            key = f"text{next(_texts)}"
            made = self._compiled_quickly([function], kinds, key)
            return str((made or self.function(function, kinds, key).library).get_asm_str())

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

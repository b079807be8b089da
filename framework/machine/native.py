"""Native code: a call tree of plain functions, specialised and compiled by numba, kept in the disk cache."""

from __future__ import annotations

import hashlib
import pickle
import platform
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache as remember
from pathlib import Path
from types import FunctionType
from typing import Any, Final, cast

import llvmlite
import llvmlite.binding as llvm
import numba
from numba import types
from numba.core import compiler, serialize
from numba.core.errors import NumbaError, UnsupportedBytecodeError

from foliolab.framework.errors import NativeBuildError
from foliolab.framework.machine import addressing, cache, lowering, nativetypes
from foliolab.framework.machine.calltree import CallTree, Function, where
from foliolab.framework.machine.layout import Layouts
from foliolab.framework.machine.primitives import PRIMITIVES

NATIVE_FORMS: Final = (addressing, lowering)
"""The modules that register the primitives' native forms when they are imported."""
FRAMEWORK: Final = Path(__file__).resolve().parents[1]
_SHARED: Final[dict[str, Any]] = {"nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy", "_nrt": False}
_CALLEE: Final[dict[str, Any]] = {**_SHARED, "no_cpython_wrapper": True}
_SMALL: Final = 400
"""Bytes of bytecode up to which a function is inlined."""
_POINTERS: Final = {"f": "folio", "p": "page", "a": "mm"}
_PLACE: Final = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)|(?:at|from) (?P<file2>/\S+) \((?P<line2>\d+)\)')


def _callee(original: Any, function: Any) -> Any:
    """A function that other native code calls: inlined if it is small, compiled once for all constants."""
    small = len(function.__code__.co_code) <= _SMALL
    made = numba.njit(**{**_CALLEE, "forceinline": small})(function)
    typed = made.get_call_template

    def typed_without_constants(args: Any, kws: Any) -> Any:
        # numba would compile a function anew for every literal it is called with
        return typed(tuple(map(types.unliteral, args)), {k: types.unliteral(v) for k, v in kws.items()})

    made.get_call_template = typed_without_constants
    return made


@remember
def _toolchain() -> bytes:
    """What native code depends on besides the call tree: this folder's text, the compiler, the CPU."""
    whole = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        whole.update(file.read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    versions = (numba.__version__, llvmlite.__version__, sys.version_info[:3])
    whole.update(repr((versions, platform.machine(), llvm.get_host_cpu_name(), features)).encode())
    whole.update(repr((sorted(_CALLEE.items()), sorted(_SHARED.items()))).encode())
    return whole.digest()


def yields() -> int:
    """How often a spinning thread gave up its time slice since the process started."""
    return int(lowering.spin_yields.value)


class Library:
    """The native forms of one call tree, compiled when first asked for.

    Args:
        tree: the functions, with a policy's hooks and constants in place.
        layouts: the structs that pointers refer to.
    """

    def __init__(self, tree: CallTree, layouts: Layouts) -> None:
        self.tree = tree
        self.layouts = layouts
        self._compiled: dict[tuple[Function, str], Any] = {}
        self._twins: dict[Any, Any] | None = None

    def key(self, function: Function, kinds: str) -> str:
        """Content hash of a function with everything that it reaches."""
        whole = hashlib.sha256(_toolchain())
        whole.update(f"{self.tree.digest(function)} {self.layouts.digest} {kinds}".encode())
        return whole.hexdigest()

    def is_cached(self, function: Function, kinds: str) -> bool:
        """Whether `get` will find native code on disk."""
        return (function, kinds) in self._compiled or cache.has(self.key(function, kinds))

    def get(self, function: Function, kinds: str) -> Callable[..., Any]:
        """The native form of a function.

        Args:
            function: a root of the tree.
            kinds: one letter per argument: m memory (passed as its address), i integer, f folio, p page, a MM.

        Raises:
            NativeBuildError: it cannot be compiled; names the author's file and line.
        """
        if (function, kinds) not in self._compiled:
            self._compiled[function, kinds] = self._load(function, kinds) or self._build(function, kinds)
        return self._compiled[function, kinds].entry_point  # type: ignore[no-any-return]

    def address(self, function: Function, kinds: str) -> int:
        """Where the native form of a function starts, for `addressing.register_table_call`."""
        self.get(function, kinds)
        made = self._compiled[function, kinds]
        return int(made.library.get_pointer_to_function(made.fndesc.mangled_name))

    def assembly(self, function: Function, kinds: str) -> str:
        """The machine code of a function as text (compiled anew; for tests and the curious)."""
        return str(self._build(function, kinds).library.get_asm_str())

    def _load(self, function: Function, kinds: str) -> Any:
        key = self.key(function, kinds)
        payload = cache.read(key)
        if payload is None:
            return None
        from numba.core.registry import cpu_target

        try:
            return compiler.CompileResult._rebuild(cpu_target.target_context, *pickle.loads(payload))
        except Exception:  # whatever a damaged or foreign entry raises, it is built again
            cache.drop(key)
            return None

    def _build(self, function: Function, kinds: str) -> Any:
        top = numba.njit(**_SHARED)(self._top(function))
        try:
            top.compile(tuple(map(self._kind, kinds)))
        except (NumbaError, UnsupportedBytecodeError) as fault:
            raise _explain(function, fault, self._author_files()) from fault
        (made,) = top.overloads.values()
        cache.write(self.key(function, kinds), serialize.dumps(made._reduce()))
        return made

    def _author_files(self) -> set[Path]:
        files = {Path(function.__code__.co_filename).resolve() for function in self.tree.needs}
        return {file for file in files if not file.is_relative_to(FRAMEWORK)}

    def _kind(self, letter: str) -> Any:
        if letter in _POINTERS:
            return nativetypes.PointerType(self.layouts, _POINTERS[letter])
        return nativetypes.MemoryType(self.layouts) if letter == "m" else nativetypes.INT

    def _top(self, function: Function) -> Any:
        if self._twins is None:
            self._twins = self.tree.copies(_callee)
        return self._twins[cast(FunctionType, self.tree.replace.get(function, function))].py_func


def _explain(function: Function, fault: Exception, authors: set[Path]) -> NativeBuildError:
    """The author's file and line, and numba's reason, out of its long report."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(fault))
    places = [(Path(p["file"] or p["file2"]).resolve(), p["line"] or p["line2"]) for p in _PLACE.finditer(text)]
    # numba names the innermost place first
    places = [p for p in places if p[0] in authors] or places[-1:]
    place = f"{places[0][0]}:{places[0][1]}" if places else where(function)
    reasons = [
        line.strip(" -")
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith(("File", "During", "Failed in", "<source", "^"))
    ]
    telling = [
        r
        for r in reasons
        if re.search(r"Unknown attribute|Untyped|Cannot unify|No implementation|not supported|Use of|cannot", r)
    ]
    if "NRT required" in text:
        telling = ["it needs an object that grows (a dict, list, set or string)"]
    reason = (telling or reasons or ["numba gave no reason"])[-1 if not telling else 0]
    return NativeBuildError(
        f"{place}: cannot be compiled: {reason}",
        "run it interpreted first for a fuller message; only integers, references, pointers and primitives compile",
    )


def library(
    roots: list[Function],
    layouts: Layouts,
    replace: Mapping[Function, Function],
    constants: Mapping[tuple[str, str], Any],
) -> Library:
    """The native library of some root functions with a policy's hooks and constants in place."""
    return Library(CallTree(roots, PRIMITIVES, replace, constants), layouts)

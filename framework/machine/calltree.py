"""Call trees of plain functions: which functions and constants one depends on, and copies with some replaced.

A policy's parameters are module constants; its hooks are stubs in the engine's text. Both are put in
by copying the call tree with other globals, so interpreted and native code come from the same functions.
"""

from __future__ import annotations

import ast
import builtins
import copy
import dis
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.util import resolve_name
from inspect import unwrap
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, TypeVar

from foliolab.framework.errors import NativeBuildError

Function = Callable[..., Any]
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_CONSTANT: Final = (int, float, str, type(None))
FRAMEWORK: Final = "foliolab.framework."


def where(function: Any) -> str:
    """File and line of a function, for messages."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def noinline(function: FunctionT) -> FunctionT:
    """Let native code call a function instead of containing it wherever it is called.

    For long functions that several places call, or that run rarely: the code becomes shorter and is compiled sooner.
    """
    vars(function)["noinline"] = True
    return function


def is_noinline(function: FunctionType) -> bool:
    """Whether native code calls the function."""
    return "noinline" in vars(function)


def _line_of(function: FunctionType, name: str) -> str:
    """File and line of a function's text that reads a global; of the function, where that is in a nested one."""
    code = function.__code__
    steps = (i for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL" and i.argval == name)
    line = next((i.positions.lineno for i in steps if i.positions is not None), None)
    return f"{code.co_filename}:{line or code.co_firstlineno}"


@cache
def _refuse(function: FunctionType) -> None:
    """Refuse what would be state outside of memory, or comes from outside of the policy."""
    for step in dis.get_instructions(function.__code__):
        line = step.positions.lineno if step.positions is not None else None
        location = f"{function.__code__.co_filename}:{line or function.__code__.co_firstlineno}"
        if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            raise NativeBuildError(
                f"{function.__qualname__} at {location} changes the global {step.argval!r}",
                "state belongs in fields, where every processor sees it",
            )
        if step.opname == "IMPORT_NAME":
            raise NativeBuildError(
                f"{function.__qualname__} at {location} imports {step.argval}",
                "only functions and constants (int, bool, tuples of them) can be used, imported at the top of the file",
            )


@cache
def _globals_read(code: CodeType) -> dict[str, set[str]]:
    """The globals that a function reads, and of each the attributes that it takes directly (`module.name`)."""
    found: dict[str, set[str]] = {}
    steps = [i for i in dis.get_instructions(code) if i.opname not in {"CACHE", "PRECALL", "EXTENDED_ARG"}]
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        if step.opname not in {"LOAD_GLOBAL", "LOAD_NAME"}:
            continue
        attributes = found.setdefault(step.argval, set())
        if after is not None and after.opname in {"LOAD_ATTR", "LOAD_METHOD"}:
            attributes.add(after.argval)
    for nested in code.co_consts:  # comprehensions, generators, lambdas
        if isinstance(nested, CodeType):
            for name, attributes in _globals_read(nested).items():
                found.setdefault(name, set()).update(attributes)
    return found


def _reads(function: FunctionType) -> list[tuple[str, str, Any]]:
    """Module, name and value of each global that a function reads; the value is None where it does not exist."""
    found = []
    for name, attributes in _globals_read(function.__code__).items():
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType):
            found += [(value.__name__, attribute, vars(value).get(attribute)) for attribute in sorted(attributes)]
        else:
            found.append((function.__module__, name, value))
    return found


def _walk(roots: Iterable[Any], replace: Mapping[Function, Function]) -> dict[FunctionType, list[tuple[str, str, Any]]]:
    """Every function that the roots reach, with the globals that it reads."""
    found: dict[FunctionType, list[tuple[str, str, Any]]] = {}
    todo = list(roots)
    while todo:
        function = unwrap(todo.pop())
        if not isinstance(function, FunctionType) or function in found:
            continue
        found[function] = _reads(function)
        for _, _, value in found[function]:
            if callable(value):
                other = replace.get(value, value)
                todo.append(value if other is function else other)
        todo += [cell.cell_contents for cell in function.__closure__ or ()]
    return found


def readers(roots: Iterable[Function], replace: Mapping[Function, Function]) -> dict[str, list[str]]:
    """The modules whose functions read each global, by its name, of all functions that the roots reach.

    The framework's own functions are walked through, but what they read is no constant of a policy.
    """
    found: dict[str, list[str]] = {}
    for function, reads in _walk(roots, replace).items():
        if function.__module__.startswith(FRAMEWORK):
            continue
        for module, name, value in reads:
            if not callable(value) and module not in found.setdefault(name, []):
                found[name].append(module)
    return {name: sorted(modules) for name, modules in found.items()}


@cache
def origin(module: str, name: str) -> str:
    """The module that a global was imported from by name (`from a import NAME`), else the module itself.

    A constant's value does not tell; the module's source does. Where it cannot be read, nothing was imported.
    """
    file = getattr(sys.modules.get(module), "__file__", None)
    try:
        tree = ast.parse(Path(file or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return module
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any(name == (one.asname or one.name) for one in node.names):
            package = getattr(sys.modules[module], "__package__", None)
            return origin(resolve_name("." * node.level + (node.module or ""), package), name)
    return module


def called_by(roots: Iterable[Function], replace: Mapping[Function, Function]) -> set[Function]:
    """Every function whose name a function reads that the roots reach, with `replace` in force."""
    return {
        value for reads in _walk(roots, replace).values() for _, _, value in reads if isinstance(value, FunctionType)
    }


def mentions(root: Function, words: Iterable[str]) -> set[str]:
    """Which words are string constants of the functions that the root reaches."""
    wanted = set(words)
    texts = (text for function in _walk([root], {}) for text in _strings(function.__code__))
    return wanted.intersection(texts)


def _strings(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _strings(constant)


def _is_constant(value: Any) -> bool:
    return isinstance(value, _CONSTANT) or (isinstance(value, tuple) and all(map(_is_constant, value)))


def _own_code(function: FunctionType) -> CodeType:
    return function.__code__


class CallTree:
    """Everything that a set of functions reaches through module globals.

    Args:
        roots: the functions to start from.
        leaves: functions that are not entered (the primitives).
        replace: function to use instead of another, wherever it is called but by the substitute itself.
        constants: value to use instead of a global, by the function's module and the global's name.

    Attributes:
        code_of: the code of a function, as copies and digests have it.

    Raises:
        NativeBuildError: a function is a closure, or reads a global that cannot become part of native code.
    """

    def __init__(
        self,
        roots: Iterable[Function],
        leaves: frozenset[Any],
        replace: Mapping[Function, Function],
        constants: Mapping[tuple[str, str], Any],
    ) -> None:
        self.leaves = leaves
        self.replace = replace
        self.constants = constants
        self.code_of: Callable[[FunctionType], CodeType] = _own_code
        self.needs: dict[FunctionType, dict[str, Any]] = {}
        self._digests: dict[FunctionType, bytes] = {}
        for root in roots:
            self._visit(self._actual(root))

    def with_code(self, code_of: Callable[[FunctionType], CodeType]) -> CallTree:
        """The same tree with other code of its functions, which reads no other globals (`checks.unchecked_code`)."""
        twin = copy.copy(self)
        twin.code_of = code_of
        twin._digests = {}
        return twin

    def _actual(self, value: Any, caller: Function | None = None) -> Any:
        """The substitute of a function, if it has one. The substitute itself may call the function that it replaces."""
        if not isinstance(value, FunctionType):
            return value
        found = self.replace.get(value, value)
        return value if found is caller else found

    def _visit(self, function: FunctionType) -> None:
        if function in self.needs:
            return
        if function.__closure__:
            raise NativeBuildError(
                f"{function.__qualname__} at {where(function)} is a closure",
                "write it as a module-level function; pass what it needs as arguments or declare a parameter",
            )
        _refuse(function)
        found: dict[str, Any] = {}
        self.needs[function] = found
        for name, attributes in sorted(_globals_read(function.__code__).items()):
            if name not in function.__globals__ and (function.__module__, name) not in self.constants:
                if not hasattr(builtins, name):
                    raise self._undefined(function, name)
                continue
            value = self._global(function, function.__module__, function.__globals__, name)
            if isinstance(value, ModuleType):
                for attribute in sorted(attributes & vars(value).keys()):
                    found[f"{name}.{attribute}"] = self._global(function, value.__name__, vars(value), attribute)
            else:
                found[name] = value
        for name, value in found.items():
            self._check(function, name, value)
            if isinstance(value, FunctionType) and value not in self.leaves:
                self._visit(value)

    def _undefined(self, function: FunctionType, name: str) -> NativeBuildError:
        """The error for an undefined name: where the name is read, and a similar name."""
        known = {leaf.__name__ for leaf in self.leaves}
        near = get_close_matches(name, [*known, *function.__globals__], 1, 0.75)
        hint = "define it at the top of the file, or import it there"
        if name in known:
            hint = f"import it at the top of the file: from foliolab.framework.api import {name}"
        elif near:
            hint = f"did you mean {near[0]}? Everything that a policy may use is in foliolab.framework.api"
        return NativeBuildError(
            f"{function.__qualname__} at {_line_of(function, name)} reads {name!r}, which is nowhere defined", hint
        )

    def _global(self, caller: FunctionType, module: str, space: Mapping[str, Any], name: str) -> Any:
        if (module, name) in self.constants:
            return self.constants[module, name]
        return self._actual(space[name], caller)

    def _check(self, function: FunctionType, name: str, value: Any) -> None:
        if isinstance(value, FunctionType) or _is_constant(value):
            return
        if isinstance(value, type):
            return  # numba reports unsupported uses, with the line
        raise NativeBuildError(
            f"{function.__qualname__} at {_line_of(function, name.partition('.')[0])} reads the global {name!r}, "
            f"a {type(value).__name__}",
            "only functions and constants (int, bool, tuples of them) can be used; state belongs in fields",
        )

    def reached(self, root: Function) -> list[FunctionType]:
        """The functions that `root` reaches, itself first."""
        order: dict[FunctionType, None] = {}
        todo = [self._actual(root)]
        while todo:
            function = todo.pop()
            if function in order:
                continue
            order[function] = None
            todo += [v for v in self.needs[function].values() if isinstance(v, FunctionType) and v in self.needs]
        return list(order)

    def digest(self, root: Function) -> str:
        """Hash of the text and constants of everything that `root` reaches; file names and lines do not count."""
        whole = hashlib.sha256()
        for function in sorted(self.reached(root), key=lambda f: (f.__module__, f.__qualname__)):
            whole.update(self._own_digest(function))
        return whole.hexdigest()

    def text_digest(self, root: Function) -> str:
        """Like `digest`, but wherever the text lies: under another file's or package's name it is the same."""
        reached = self.reached(root)
        names = {function: f"{number} {function.__qualname__}" for number, function in enumerate(reached)}
        whole = hashlib.sha256()
        for function in reached:
            whole.update(self._describe(function, names[function], names))
        return whole.hexdigest()

    def _own_digest(self, function: FunctionType) -> bytes:
        if function not in self._digests:
            text = self._describe(function, f"{function.__module__} {function.__qualname__}", {})
            self._digests[function] = hashlib.sha256(text).digest()
        return self._digests[function]

    def _describe(self, function: FunctionType, name: str, names: Mapping[FunctionType, str]) -> bytes:
        """A function's code and what it reads; functions by the names that are given, else by module and name."""
        needs = [
            (key, names.get(v, f"{v.__module__} {v.__qualname__}") if isinstance(v, FunctionType) else repr(v))
            for key, v in sorted(self.needs[function].items())
        ]
        called = ("noinline",) if is_noinline(function) else ()
        return repr((name, signature_of(self.code_of(function)), function.__defaults__, needs, *called)).encode()

    def copies(self, wrap: Callable[[FunctionType, FunctionType], Any]) -> dict[FunctionType, Any]:
        """A copy of every function that calls the copies; `wrap(function, copy)` is what callers see of it."""
        spaces: dict[FunctionType, dict[str, Any]] = {}
        made: dict[FunctionType, Any] = {}
        for function in self.needs:
            space = spaces[function] = dict(function.__globals__)
            twin = FunctionType(self.code_of(function), space, function.__name__, function.__defaults__)
            twin.__module__, twin.__qualname__ = function.__module__, function.__qualname__
            twin.__kwdefaults__ = function.__kwdefaults__
            made[function] = wrap(function, twin)
        for function, needs in self.needs.items():
            modules: dict[str, ModuleType] = {}
            for name, needed in needs.items():
                value = made.get(needed, needed) if isinstance(needed, FunctionType) else needed
                module, dot, attribute = name.partition(".")
                if not dot:
                    spaces[function][name] = value
                    continue
                if module not in modules:
                    modules[module] = ModuleType(module)
                    spaces[function][module] = modules[module]
                setattr(modules[module], attribute, value)
        return made


def signature_of(code: CodeType) -> tuple[Any, ...]:
    """What code does: two functions with equal signatures differ in their names, places and docstrings at most."""
    doc = code.co_consts[0] if code.co_consts and isinstance(code.co_consts[0], str) else None
    consts = tuple(
        signature_of(c) if isinstance(c, CodeType) else (type(c).__name__, repr(c))
        for c in code.co_consts
        if c is not doc
    )
    return (code.co_code.hex(), code.co_names, code.co_varnames, code.co_argcount, consts)

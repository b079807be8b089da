"""What plugins import: primitives, functions of the engine, constants, and the classes of declarations."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final

from foliolab.framework import api
from foliolab.framework.machine import primitives
from foliolab.framework.reference.hooks import signature
from foliolab.framework.reference.table import Code, Table, attributes

METHODS: Final = ("Machine", "Moment", "Processes")
"""Classes whose methods and properties are listed; of other classes the fields are."""


def public(kind: Callable[[Any], bool]) -> dict[str, Any]:
    """The names of the public API whose values are of a kind, with these values."""
    return {name: value for name in api.__all__ if kind(value := getattr(api, name))}


def is_primitive(value: Any) -> bool:
    """Whether a value is a primitive: a function of the primitives' module."""
    return inspect.isfunction(value) and value.__module__ == primitives.__name__


def is_helper(value: Any) -> bool:
    """Whether a value is a function of the engine that policies and workloads may call."""
    return inspect.isfunction(value) and not is_primitive(value)


def _sections() -> Iterator[tuple[str, list[str]]]:
    """The primitives, grouped by the headings of their file."""
    source = inspect.getsource(primitives)
    heads = {n: line.strip("# -") for n, line in enumerate(source.splitlines(), 1) if line.startswith("# -- ")}
    names: dict[str, list[str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name in api.__all__:
            above = [n for n in heads if n < node.lineno]
            names.setdefault(heads[max(above)], []).append(node.name)
    yield from names.items()


def primitive_tables() -> list[Table]:
    """Every primitive: signature, meaning, whether it is a locked instruction, whether it has a native form."""
    tables = []
    for head, names in _sections():
        rows = []
        for name in names:
            function = getattr(api, name)
            locked = "yes" if name in primitives.ATOMIC_RMW else "no"
            native = "its own" if function in primitives.PRIMITIVES else "from its text"
            rows.append((signature(function), inspect.getdoc(function) or "", locked, native))
        title = head.strip()[:1].upper() + head.strip()[1:]
        tables.append(Table(("primitive", "meaning", "locked on x86-64", "native form"), rows, title))
    return tables


def helpers() -> list[Table]:
    """The public functions of the engine."""
    found = public(is_helper)
    return [Table(("function", "meaning"), [(signature(one), inspect.getdoc(one) or "") for one in found.values()])]


def constants() -> list[Table]:
    """The numbers that the API exports."""
    found = public(lambda value: isinstance(value, int))
    return [Table(("constant", "value"), [(Code(name), f"{value}") for name, value in found.items()])]


def classes() -> list[Table]:
    """The classes of the API, field by field or method by method."""
    tables = []
    for name, kind in public(inspect.isclass).items():
        table = Table((), ())
        if is_dataclass(kind) and name != "Hooks":
            table = _fields(kind)
        elif name in METHODS:
            table = _methods(kind)
        tables.append(Table(table.head, table.rows, name, (inspect.getdoc(kind) or "").partition("\n\n")[0]))
    return tables


def _fields(kind: Any) -> Table:
    said = attributes(inspect.getdoc(kind) or "", "Args") | attributes(inspect.getdoc(kind) or "")
    rows = []
    for one in fields(kind):
        if one.name not in said:
            continue
        default = "" if one.default is MISSING else Code(_plain(one.default))
        rows.append((Code(one.name), Code(str(one.type)), default, said[one.name]))
    return Table(("field", "type", "default", "meaning"), rows)


def _plain(value: object) -> str:
    return value.__name__ if inspect.isfunction(value) else repr(value)


def _methods(kind: type) -> Table:
    rows = []
    members = {name: value for base in reversed(kind.__mro__[:-1]) for name, value in vars(base).items()}
    for name, value in members.items():
        if isinstance(value, property) and value.fget is not None and not name.startswith("_"):
            answer = inspect.signature(value.fget).return_annotation
            rows.append((Code(f"{name} -> {answer}"), inspect.getdoc(value) or ""))
        if inspect.isfunction(value) and not name.startswith("_"):
            words = (inspect.getdoc(value) or "").partition("\n\n")[0]
            rows.append((Code(signature(value).replace("(self, ", "(").replace("(self)", "()")), words))
    return Table(("method", "meaning"), rows)

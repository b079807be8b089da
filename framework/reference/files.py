"""What files contain: the keys of results and counterexamples, operations, records of readers, events of traces."""

from __future__ import annotations

import ast
import builtins
import inspect
import json
from dataclasses import MISSING, fields
from importlib import import_module
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from foliolab.framework.contract import trace_records
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.operation import OPERATIONS
from foliolab.framework.reference.table import Code, Table, attributes
from foliolab.framework.trace import events
from foliolab.framework.verify.counterexample import Counterexample

PLAIN: Final = {int: "integer", float: "number", str: "string", bool: "true or false", type(None): "null"}


def struct_at(path: str) -> type[msgspec.Struct]:
    """The struct at `module:Struct` below foliolab.framework, such as results.result:Result."""
    module, _, name = path.partition(":")
    found: type[msgspec.Struct] = getattr(import_module(f"foliolab.framework.{module}"), name)
    return found


def structs(root: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """A struct and the structs in its fields, each once, in the order of their discovery."""
    found: list[type[msgspec.Struct]] = []
    waiting: list[Any] = [root]
    while waiting:
        kind = waiting.pop(0)
        if inspect.isclass(kind) and issubclass(kind, msgspec.Struct) and kind not in found:
            found.append(kind)
            waiting += get_type_hints(kind).values()
        waiting += get_args(kind)
    return found


def keys(root: type[msgspec.Struct]) -> list[Table]:
    """The keys of all structs of a JSON file."""
    tables = []
    for struct in structs(root):
        docstring = inspect.getdoc(struct) or ""
        said: dict[str, str] = {}
        for kind in reversed(struct.__mro__):  # a base documents its own fields
            text = inspect.getdoc(kind) or ""
            said |= attributes(text) | attributes(text, "Args")
        hints = get_type_hints(struct)
        rows = []
        for one in msgspec.structs.fields(struct):
            rows.append((Code(one.encode_name), _type(hints[one.name]), _default(one), said.get(one.name, "")))
        head = ("key", "value", "if absent", "meaning")
        tables.append(Table(head, rows, struct.__name__, docstring.partition("\n\n")[0]))
    return tables


def _type(kind: Any) -> str:
    """A type in the words of JSON."""
    if kind in PLAIN:
        return PLAIN[kind]
    inner = [f'"{one}"' if isinstance(one, str) else _type(one) for one in get_args(kind) if one is not Ellipsis]
    match get_origin(kind):
        case None:
            return str(kind.__name__)
        case builtins.dict:
            return f"object of {inner[1]} by {inner[0]}"
        case builtins.list | builtins.tuple:
            return f"list of {', '.join(dict.fromkeys(inner))}"
    return " or ".join(inner)


def _default(one: Any) -> str:
    if one.required or one.name == "schema":  # readers ask for it before they read the rest
        return "an error"
    return Code(json.dumps(one.default_factory() if one.default is msgspec.NODEFAULT else one.default))


def counterexample() -> list[Table]:
    """The keys of a counterexample, and those of the machine in it."""
    said = attributes(inspect.getdoc(Shape) or "", "Args")
    rows = [
        (Code(one.name), "an error" if one.default is MISSING else f"{int(one.default)}", said[one.name])
        for one in fields(Shape)
    ]
    return [*keys(Counterexample), Table(("key of shape", "if absent", "meaning"), rows, "Shape")]


def operations() -> list[Table]:
    """The operations of setups and threads, with their arguments."""
    rows = []
    for name, one in OPERATIONS.items():
        arguments = [f"[{given[:-1]}=N]" if given[-1] == "?" else f"{given}=N" for given in one.arguments.split()]
        words = {argument: f"`{argument}`" for argument in one.names}
        words |= {argument: f"MM `{argument}`" for argument in ("mm", "parent", "child")}
        rows.append((Code(" ".join([name, *arguments])), one.sentence.format(**{"pages": "pages", **words})))
    return [Table(("operation", "meaning"), rows)]


def records() -> list[Table]:
    """The records that a trace reader yields."""
    kinds = [value for value in vars(trace_records).values() if inspect.isclass(value) and hasattr(value, "_fields")]
    rows = [(Code(f"{kind.__name__}({', '.join(kind._fields)})"), inspect.getdoc(kind) or "") for kind in kinds]
    return [Table(("record", "meaning"), rows)]


def event_kinds() -> list[Table]:
    """The kinds and flags of a trace's events, with the numbers that stand for them."""
    tables = []
    for name, column in (("kinds", "kind"), ("flags", "flags")):
        rows = [(Code(f"{one} = {value}"), said) for one, value, said in _constants(name)]
        tables.append(Table((column, "meaning"), rows, f"Column {column}"))
    said = attributes(inspect.getdoc(events.Events) or "")
    rows = [(Code(f"{name} ({dtype.name})"), said.get(name, "")) for name, dtype in events.COLUMNS.items()]
    return [*tables, Table(("column", "meaning"), rows, "All columns")]


def _constants(section: str) -> list[tuple[str, int, str]]:
    """The numbers below a heading of the events' file, with the text below each."""
    source = inspect.getsource(events)
    part = source[source.index(f"# -- {section} ") :]
    part = part[: part.index("\n# -- ", 1)] if "\n# -- " in part else part[: part.index("COLUMNS")]
    body = ast.parse(part).body
    found = []
    for node, below in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        value = getattr(events, node.target.id)
        if isinstance(value, int) and not node.target.id.startswith("LAST"):
            text = below.value if isinstance(below, ast.Expr) else None
            said = inspect.cleandoc(str(text.value)) if isinstance(text, ast.Constant) else ""
            found.append((node.target.id, value, said))
    return found

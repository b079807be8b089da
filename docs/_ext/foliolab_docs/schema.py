"""The schema of result files, made from the structs that write and read them."""

from __future__ import annotations

import builtins
import inspect
import json
from importlib import import_module
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from foliolab_docs.markdown import attributes, code, fenced, prose, table


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


PLAIN: Final = {int: "integer", float: "number", str: "string", bool: "true or false", type(None): "null"}


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


def described(root: type[msgspec.Struct]) -> list[str]:
    """Tables of all structs of a result."""
    lines = []
    for struct in structs(root):
        docstring = inspect.getdoc(struct) or ""
        said: dict[str, str] = {}
        for kind in reversed(struct.__mro__):  # a base documents its own fields
            text = inspect.getdoc(kind) or ""
            said |= attributes(text) | attributes(text, "Args")
        lines += [f"### {struct.__name__}", "", prose(docstring.partition("\n\n")[0]), ""]
        hints = get_type_hints(struct)
        rows = []
        for one in msgspec.structs.fields(struct):
            rows.append((code(one.encode_name), _type(hints[one.name]), _default(one), prose(said.get(one.name, ""))))
        lines += table(("key", "value", "if absent", "meaning"), rows)
    return lines


def _default(one: Any) -> str:
    if one.required:
        return "an error"
    value = one.default_factory() if one.default is msgspec.NODEFAULT else one.default
    return code(json.dumps(value))


def part(path: str) -> list[str]:
    """The tables of a struct and its JSON Schema.

    Args:
        path: `module:Struct` below foliolab.framework, such as results.result:Result.
    """
    module, _, name = path.partition(":")
    root = getattr(import_module(f"foliolab.framework.{module}"), name)
    formal = json.dumps(msgspec.json.schema(root), indent=1).splitlines()
    return [*described(root), "### As JSON Schema", "", *fenced("json", formal)]

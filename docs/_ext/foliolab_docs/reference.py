"""The reference of hooks and primitives, made from signatures and docstrings.

autodoc would show signatures and docstrings, too. It cannot join them with defaults of hooks, locked instructions,
native forms and free bytes of a layout, which other modules know; so these tables are made here.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final

from foliolab.framework import api
from foliolab.framework.anatomy.layout import LAYOUT_NAMES, Box, StructPage, kernels_page
from foliolab.framework.contract.hooks import HOOK_ARGUMENTS, HOOKS_WITH_VPN, Hooks
from foliolab.framework.contract.policy import CAPABILITIES
from foliolab.framework.engine import hooks as defaults
from foliolab.framework.machine import primitives
from foliolab.framework.plugins.registry import KINDS
from foliolab_docs.markdown import attributes, code, prose, table

Function = Callable[..., Any]
METHODS: Final = ("Machine", "Processes")
"""Classes whose methods are listed; of other classes the fields are."""
HOOK_WORDS: Final = attributes(inspect.getdoc(Hooks) or "")


def signature(function: Function) -> str:
    """A function's signature, as its source has it."""
    return function.__name__ + str(inspect.signature(function)).replace("'", "")


def public(kind: Callable[[Any], bool]) -> dict[str, Any]:
    """The names of the public API whose values are of a kind, with these values."""
    return {name: value for name in api.__all__ if kind(value := getattr(api, name))}


def is_primitive(value: Any) -> bool:
    """Whether a value is a primitive: a function of the primitives' module."""
    return inspect.isfunction(value) and value.__module__ == primitives.__name__


def is_helper(value: Any) -> bool:
    """Whether a value is a function of the engine that policies and workloads may call."""
    return inspect.isfunction(value) and not is_primitive(value)


def policy_hooks() -> list[str]:
    """Every hook of the policy contract: signature, meaning, and the default of a policy without it."""
    rows = []
    for name in HOOK_ARGUMENTS:
        default = getattr(defaults, name)
        needed = next(f for f in fields(Hooks) if f.name == name).default is MISSING
        said = "must be given" if needed else prose(inspect.getdoc(default) or "")
        place = "may take `vpn`, too" if name in HOOKS_WITH_VPN else ""
        rows.append((code(signature(default)), prose(HOOK_WORDS[name]), said, place))
    return table(("hook", "meaning", "default", "place"), rows)


def plugin_hooks() -> list[str]:
    """Every pluggy hook."""
    rows = [(code(f"{kind.hook}() -> Iterable[{kind.type_name}]"), prose(kind.doc)) for kind in KINDS]
    return table(("hook", "what it yields"), rows)


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


def primitive_tables() -> list[str]:
    """Every primitive: signature, meaning, whether it is a locked instruction, whether it has a native form."""
    lines = []
    for head, names in _sections():
        lines += [f"### {head.strip()[:1].upper()}{head.strip()[1:]}", ""]
        rows = []
        for name in names:
            function = getattr(api, name)
            locked = "yes" if name in primitives.ATOMIC_RMW else "no"
            native = "its own" if function in primitives.PRIMITIVES else "from its text"
            rows.append((code(signature(function)), prose(inspect.getdoc(function) or ""), locked, native))
        lines += table(("primitive", "meaning", "locked on x86-64", "native form"), rows)
    return lines


def helpers() -> list[str]:
    """The public functions of the engine."""
    found = public(is_helper)
    rows = [(code(signature(function)), prose(inspect.getdoc(function) or "")) for function in found.values()]
    return table(("function", "meaning"), rows)


def capabilities() -> list[str]:
    """The claims that a policy can make."""
    return table(("claim", "meaning"), ((code(name), prose(text)) for name, text in CAPABILITIES.items()))


def classes() -> list[str]:
    """The classes of the API, field by field or method by method."""
    lines = []
    for name, kind in public(inspect.isclass).items():
        lines += [f"### {name}", "", prose((inspect.getdoc(kind) or "").partition("\n\n")[0]), ""]
        if is_dataclass(kind) and name != "Hooks":
            lines += _fields(kind)
        elif name in METHODS:
            lines += _methods(kind)
    return lines


def _fields(kind: Any) -> list[str]:
    said = attributes(inspect.getdoc(kind) or "", "Args") | attributes(inspect.getdoc(kind) or "")
    rows = []
    for one in fields(kind):
        if one.name not in said:
            continue
        default = "" if one.default is MISSING else code(_plain(one.default))
        rows.append((code(one.name), code(str(one.type)), default, prose(said[one.name])))
    return table(("field", "type", "default", "meaning"), rows)


def _plain(value: object) -> str:
    return value.__name__ if inspect.isfunction(value) else repr(value)


def _methods(kind: type) -> list[str]:
    rows = []
    for name, value in vars(kind).items():
        if inspect.isfunction(value) and not name.startswith("_"):
            words = (inspect.getdoc(value) or "").partition("\n\n")[0]
            rows.append((code(signature(value).replace("(self, ", "(").replace("(self)", "()")), prose(words)))
    return table(("method", "meaning"), rows)


def constants() -> list[str]:
    """The numbers that the API exports."""
    found = public(lambda value: isinstance(value, int))
    return table(("constant", "value"), ((code(name), value) for name, value in found.items()))


def _ranges(found: StructPage, what: Callable[[Box], bool] | None = None) -> str:
    """The free byte ranges of a struct page, or the ranges of the boxes for which `what` holds."""
    spans = found.free if what is None else [(box.offset, box.offset + box.size) for box in found.boxes if what(box)]
    return ", ".join(f"{start}–{end - 1}" for start, end in spans) or "none"


def free_bytes() -> list[str]:
    """The bytes of the first three struct pages that a policy's fields may use, for each layout."""
    rows = []
    for layout, since in LAYOUT_NAMES.items():
        pages = [kernels_page(layout, number) for number in range(3)]
        kept = ", ".join(f"{code(box.name)} {box.offset}" for box in pages[1].boxes)
        rows.append((code(layout), since, *(_ranges(page) for page in pages), kept))
    head = ("layout", "of", "free in page 0", "free in page 1", "free in page 2", "what the kernel keeps in page 1")
    return table(head, rows)


def absent_hooks() -> list[str]:
    """The defaults of hooks that depend on what a policy stores."""
    rows = [
        (code(one.__name__), prose(inspect.getdoc(one) or ""), "no " + code(field), prose(inspect.getdoc(other) or ""))
        for field, found in ((name, defaults.defaults(frozenset())) for name in ("_entire_mapcount", "_mapcount"))
        for one, other in found.items()
        if one not in defaults.defaults(frozenset({field}))
    ]
    return table(("hook", "default", "of a policy with", "default then"), rows)


PARTS: Final[dict[str, Callable[[], list[str]]]] = {
    "policy-hooks": policy_hooks,
    "plugin-hooks": plugin_hooks,
    "primitives": primitive_tables,
    "helpers": helpers,
    "capabilities": capabilities,
    "classes": classes,
    "constants": constants,
    "free-bytes": free_bytes,
    "absent-hooks": absent_hooks,
}
"""The parts by the names that pages use."""


def everything() -> str:
    """All parts, for tests that compare the reference with the code."""
    return "\n".join(line for part in PARTS.values() for line in part())

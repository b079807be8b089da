"""Checks of what a plugin offers, made when the plugin is loaded: one function for each kind of declaration.

The fields of a declaration are typed, but a plugin may put anything into them. The checks therefore look at values and
not at annotations. The first check that fails raises `Unusable` with the file and line of the declaration.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, get_args

from foliolab.framework.contract.asker import Asker
from foliolab.framework.contract.caller import Caller
from foliolab.framework.contract.detector import Action, Detector, Known
from foliolab.framework.contract.hooks import DEPRECATED_HOOKS, Hooks
from foliolab.framework.contract.parameter import Parameter
from foliolab.framework.contract.policy import CAPABILITIES, Layout, Policy
from foliolab.framework.contract.reporter import Reporter
from foliolab.framework.contract.sharing_pattern import SharingPattern
from foliolab.framework.contract.stored import Per, Stored
from foliolab.framework.contract.trace_reader import TraceReader
from foliolab.framework.contract.view import WORKSPACES, Area, View
from foliolab.framework.contract.workload import Workload
from foliolab.framework.errors import FolioLabError
from foliolab.framework.machine.layout import CTYPES, Bits
from foliolab.framework.plugins.declaration import location_in, location_of
from foliolab.framework.plugins.discovery import Unusable
from foliolab.framework.plugins.kinds import Kind

NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
SCENARIO: Final = ".scenario"
LARGEST_ORDER: Final = 18
PMD_HOOKS: Final = ("new_anon_pmd", "add_pmd", "dup_pmd", "remove_pmd")
"""The hooks by which a policy learns that a PMD maps a folio."""
RESERVED: Final = {"all"}
_U64: Final = (1 << 64) - 1


def line_of(function: object) -> str:
    """File and line of a function; empty for objects without code."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else ""


def listed(given: object, kind: Kind[Any], what: str, location: str) -> list[Any]:
    """What a hook returned, as a list.

    Raises:
        Unusable: it is not iterable, or holds something that is not of the kind.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise Unusable(f"{what} gives {_a(given)}, not an iterable of {kind.type_name}", location)
    found = list(given)
    for value in found:
        if not isinstance(value, kind.yields):
            raise Unusable(f"{what} yields {_a(value)}, not a {kind.type_name}", location)
    return found


def plain(module: object, kind: Kind[Any]) -> list[Any]:
    """What a plain file holds under the kind's constant: one declaration, or several in a list or tuple.

    Raises:
        Unusable: it holds something else.
    """
    given = getattr(module, kind.constant)
    many = given if isinstance(given, (list, tuple)) else [given]
    return listed(many, kind, kind.constant, location_in(module, kind.constant))


# -- files ---------------------------------------------------------------------------------------
def checked_file(path: str | PathLike[str]) -> list[Path]:
    """Check a file that a hook names."""
    if not Path(path).is_file():
        raise Unusable(f"there is no such file: {path}")
    return [Path(path)]


def checked_scenarios(path: str | PathLike[str]) -> list[Path]:
    """Check the scenario files of a path, a file or a folder; a scenario's name is its file's."""
    given = Path(path)
    files = sorted(given.glob(f"*{SCENARIO}"), key=lambda file: file.stem) if given.is_dir() else [given]
    if not files or not all(file.is_file() for file in files):
        raise Unusable(f"foliolab_scenarios() yields {path}, which is no scenario file and no folder of scenarios")
    for file in files:
        if file.suffix != SCENARIO or not NAME.fullmatch(file.stem) or file.stem in RESERVED:
            raise Unusable(
                f"{file} does not have a scenario's name: lower-case words with hyphens, not 'all', and {SCENARIO}"
            )
    return files


def _a(thing: object) -> str:
    kind = thing if isinstance(thing, type) else type(thing)
    return f"the class {kind.__name__} itself" if thing is kind else f"a {kind.__name__} ({thing!r:.60})"


# -- declarations --------------------------------------------------------------------------------
class _Claims:
    """What must hold for one declaration; the first claim that does not raises Unusable."""

    def __init__(self, offered: Any) -> None:
        self.name = offered.name
        self.what = type(offered).__name__.lower()
        self.offered = offered

    @property
    def location(self) -> str:
        return location_of(self.offered) if isinstance(self.name, str) else ""

    def need(self, holds: bool, otherwise: str) -> None:
        if not holds:
            names = (self.name,) if isinstance(self.name, str) else ()
            raise Unusable(f"{self.what} {self.name}: {otherwise}", self.location, names)

    def named(self) -> None:
        self.need(isinstance(self.name, str), "its name is not a string")
        good = NAME.fullmatch(self.name) is not None and self.name not in RESERVED
        self.need(good, "a name is lower-case letters and digits with hyphens between them, and not 'all'")
        summary = self.offered.summary
        self.need(isinstance(summary, str) and summary.strip() != "", "its summary is not a line of text")
        self.need("\n" not in summary, "its summary has more than one line")

    def common(self) -> None:
        self.named()
        self.need(_all(self.offered.references, str), "its references are not a tuple of strings")


def _all(values: object, kind: type) -> bool:
    return isinstance(values, tuple) and all(isinstance(value, kind) for value in values)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def checked_policy(policy: Policy) -> list[Policy]:
    """Check a policy with its default parameters: types, names, fields, and their layout in the kernel's structs."""
    from foliolab.framework.engine.structs import layouts_of

    claims = _Claims(policy)
    claims.common()
    claims.need(isinstance(policy.hooks, Hooks), "its hooks are not a Hooks(...)")
    layouts = ", ".join(get_args(Layout))
    claims.need(policy.layout in get_args(Layout), f"there is no layout {policy.layout!r}; layouts are {layouts}")
    claims.need(_whole(policy.max_order, 1, LARGEST_ORDER), f"max_order is not 1 to {LARGEST_ORDER}")
    claims.need(_whole(policy.max_mappings, 1, (1 << 63) - 1), "max_mappings is not a number from 1 up")
    claims.need(_all(policy.parameters, Parameter), "its parameters are not a tuple of Parameter")
    names = [p.name for p in policy.parameters]
    claims.need(len(set(names)) == len(names), "two parameters have the same name")
    claims.need(all(WORD.fullmatch(n) for n in names), "a parameter's name is not letters, digits, - and _")
    for name, instead in DEPRECATED_HOOKS.items():
        if getattr(policy.hooks, name, None) is not None:
            warnings.warn(
                f"policy {policy.name}: the hook {name} is deprecated; {instead} ({claims.location})", FutureWarning, 2
            )
    try:
        scheme = policy.with_parameters()
        _check_fields(claims, scheme.fields)
        claims.need(_whole(scheme.max_mm_id, 1, (1 << 63) - 1), "max_mm_id is not a number from 1 up")
        claims.need(isinstance(scheme.constants, dict), "derive gives no mapping")
        claimed: Any = scheme.capabilities
        known = isinstance(claimed, frozenset) and claimed <= CAPABILITIES.keys()
        claims.need(known, f"its capabilities are not out of {', '.join(CAPABILITIES)}")
        if "pmd" in claimed:
            absent = [name for name in PMD_HOOKS if getattr(policy.hooks, name) is None]
            claims.need(not absent, f"it claims pmd, and has no hook {', '.join(absent)}")
        layouts_of(scheme)
    except Unusable:
        raise
    except FolioLabError as fault:
        text = fault.what.removeprefix(f"policy {policy.name}: ")
        raise Unusable(f"policy {policy.name}: {text} ({fault.hint})", claims.location, (policy.name,)) from fault
    except Exception as fault:
        message = f"policy {policy.name}: {type(fault).__name__}: {fault}"
        raise Unusable(message, offers=(policy.name,)) from fault
    return [policy]


def _check_fields(claims: _Claims, fields: object) -> None:
    claims.need(_all(fields, Stored), "its fields are not a tuple of Stored")
    assert isinstance(fields, tuple)
    for stored in fields:
        allowed = get_args(Per)
        claims.need(stored.per in allowed, f"field {stored.name} is per {stored.per!r}, not {', '.join(allowed)}")
        numbers = (
            _whole(stored.page, 0, 1 << LARGEST_ORDER)
            and _whole(stored.offset, 0, 1 << 20)
            and _whole(stored.count, 1, 1 << 20)
        )
        claims.need(numbers, f"field {stored.name}: page, offset or count is not a number in its range")
        kind = CTYPES.get(stored.ctype)
        fits = stored.init is None or kind is None or _whole(stored.init, kind.low, kind.high)
        same = ""
        if not fits and stored.ctype == "u64" and _whole(stored.init, 1, _U64):
            same = f"; the same bits are {stored.init - _U64 - 1}"
        claims.need(fits, f"field {stored.name}: init is {stored.init!r}, which does not fit {stored.ctype}{same}")
        claims.need(_all(stored.bits, Bits), f"field {stored.name}: its bits are not a tuple of Bits")
        replace(stored, page=0).at(64)  # raises for an unknown type or a misplaced offset


def _takes(function: object, arguments: int) -> bool:
    """Whether a function can be called with so many arguments; objects without code get the benefit of the doubt."""
    code = getattr(function, "__code__", None)
    if code is None:
        return callable(function)
    return code.co_argcount >= arguments or bool(code.co_flags & inspect.CO_VARARGS)


def checked_workload(workload: Workload) -> list[Workload]:
    """Check a workload."""
    claims = _Claims(workload)
    claims.common()
    claims.need(_takes(workload.prepare, 2), "prepare is not a function of (machine, setting)")
    orders: Any = workload.orders
    good = isinstance(orders, tuple) and bool(orders) and all(_whole(o, 0, LARGEST_ORDER) for o in orders)
    claims.need(good, f"its orders are not numbers from 0 to {LARGEST_ORDER}")
    claims.need(isinstance(workload.needs, frozenset), "needs is not a frozenset")
    unknown = ", ".join(sorted(map(str, workload.needs - CAPABILITIES.keys())))
    claims.need(not unknown, f"it needs {unknown}; capabilities are {', '.join(CAPABILITIES)}")
    for name in ("mms", "spaces", "frames", "threads", "small"):
        claims.need(_whole(getattr(workload, name), 1, 1 << 20), f"{name} is not a number from 1 up")
    return [workload]


def checked_pattern(pattern: SharingPattern) -> list[SharingPattern]:
    """Check a sharing pattern."""
    claims = _Claims(pattern)
    claims.common()
    claims.need(_takes(pattern.play, 2), "play is not a function of (processes, usage)")
    return [pattern]


def checked_caller(caller: Caller) -> list[Caller]:
    """Check a caller's declaration; its text is checked when it is chosen."""
    claims = _Claims(caller)
    claims.common()
    claims.need(isinstance(caller.claims, frozenset), "claims is not a frozenset")
    return [caller]


def checked_asker(asker: Asker) -> list[Asker]:
    """Check an asker."""
    claims = _Claims(asker)
    for name in ("who", "when", "exclusive", "shared", "source"):
        text = getattr(asker, name)
        claims.need(isinstance(text, str) and text.strip() != "" and "\n" not in text, f"{name} is not a line of text")
    claims.named()
    claims.need(_takes(asker.ask, 1), "ask is not a function of (moment)")
    for name in ("safe", "usual"):
        claims.need(isinstance(getattr(asker, name), bool), f"{name} is not True or False")
    return [asker]


def checked_detector(detector: Detector) -> list[Detector]:
    """Check a detector, with a folio of which a page is unmapped and with one in doubt."""
    claims = _Claims(detector)
    claims.common()
    claims.need(isinstance(detector.page_mapcounts, bool), "page_mapcounts is not True or False")
    decisions = {"at_removal": detector.at_removal, "in_shrinker": detector.in_shrinker}
    if detector.in_scan is not None:
        decisions["in_scan"] = detector.in_scan
    for name, decide in decisions.items():
        claims.need(_takes(decide, 1), f"{name} is not a function of (known)")
        for known in (Known(16, 15, 0, False, 1, False), Known(16, 16, 0, True, 0, False)):
            claims.need(isinstance(decide(known), Action), f"{name} gives {decide(known)!r} and not an Action")
    return [detector]


def checked_trace_reader(reader: TraceReader) -> list[TraceReader]:
    """Check a trace reader."""
    claims = _Claims(reader)
    claims.named()
    claims.need(_takes(reader.recognise, 1), "recognise is not a function of (head)")
    claims.need(_takes(reader.read, 1), "read is not a function of (source)")
    return [reader]


def checked_reporter(reporter: Reporter) -> list[Reporter]:
    """Check a report format."""
    claims = _Claims(reporter)
    claims.named()
    claims.need(_takes(reporter.render, 2), "render is not a function of (result, rows)")
    claims.need(_all(reporter.kinds, str), "kinds is not a tuple of verbs")
    return [reporter]


def checked_view(view: View) -> list[View]:
    """Check a view of the window."""
    claims = _Claims(view)
    claims.named()
    claims.need(_takes(view.make, 1), "make is not a function of (desk)")
    for name, value, allowed in (("workspace", view.workspace, WORKSPACES), ("area", view.area, get_args(Area))):
        claims.need(value in allowed, f"there is no {name} {value!r}; choose {', '.join(allowed)}")
    return [view]

"""Whether what a plugin offers keeps the contracts of `policy` and `workload`; asked when it is loaded."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, get_args

from foliolab.framework.contract.hooks import DEPRECATED_HOOKS, Hooks
from foliolab.framework.contract.parameter import Parameter
from foliolab.framework.contract.policy import CAPABILITIES, Layout, Per, Policy, Scheme, Stored
from foliolab.framework.contract.sharing_pattern import SharingPattern
from foliolab.framework.contract.trace_reader import TraceReader
from foliolab.framework.contract.workload import Workload
from foliolab.framework.errors import FolioLabError
from foliolab.framework.machine.layout import Bits
from foliolab.framework.plugins.declaration import location_in, location_of
from foliolab.framework.plugins.discovery import Unusable

OFFERS: Final[dict[str, tuple[type, ...]]] = {
    "foliolab_policies": (Policy,),
    "foliolab_workloads": (Workload,),
    "foliolab_sharing_patterns": (SharingPattern,),
    "foliolab_published": (str, PathLike),
    "foliolab_scenarios": (str, PathLike),
    "foliolab_findings": (str, PathLike),
    "foliolab_trace_readers": (TraceReader,),
}
"""The hooks that a registry calls, and what each yields."""

NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
SCENARIO: Final = ".scenario"
LARGEST_ORDER: Final = 18
PMD_HOOKS: Final = ("new_anon_pmd", "add_pmd", "dup_pmd", "remove_pmd")
"""Without which a policy does not hear that a PMD maps a folio."""
RESERVED: Final = {"all"}


def line_of(function: Any) -> str:
    """File and line of a function; empty where it has none."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else ""


def listed(given: object, kinds: tuple[type, ...], what: str, place: str) -> list[Any]:
    """What a hook gave, as a list.

    Raises:
        Unusable: not an iterable, or of the wrong things.
    """
    words = " or ".join(kind.__name__ for kind in kinds)
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise Unusable(f"{what} gives {_a(given)}, not an iterable of {words}", place)
    found = list(given)
    for one in found:
        if not isinstance(one, kinds):
            raise Unusable(f"{what} yields {_a(one)}, not a {words}", place)
    return found


def plain(module: object, constant: str, kinds: tuple[type, ...]) -> list[Any]:
    """What a plain file holds as POLICY or WORKLOAD: one, or several in a list or tuple.

    Raises:
        Unusable: something else.
    """
    given = getattr(module, constant)
    many = given if isinstance(given, (list, tuple)) else [given]
    return listed(many, kinds, constant, location_in(module, constant))


def existing(path: str | PathLike[str], hook: str) -> Path:
    """A file that a hook names.

    Raises:
        Unusable: there is none.
    """
    if not Path(path).is_file():
        raise Unusable(f"{hook}() yields {path}, and there is no such file")
    return Path(path)


def scenarios(path: str | PathLike[str]) -> list[Path]:
    """The scenario files of a path; a scenario's name is its file's.

    Raises:
        Unusable: there is none, or one has no scenario's name.
    """
    given = Path(path)
    files = sorted(given.glob(f"*{SCENARIO}"), key=lambda file: file.stem) if given.is_dir() else [given]
    if not files or not all(file.is_file() for file in files):
        raise Unusable(f"foliolab_scenarios() yields {path}, and there is no such file or no scenario in it")
    for file in files:
        if file.suffix != SCENARIO or not NAME.fullmatch(file.stem) or file.stem in RESERVED:
            raise Unusable(
                f"{file} is not named as a scenario: lower-case words with hyphens, not 'all', and {SCENARIO}"
            )
    return files


def _a(thing: object) -> str:
    kind = thing if isinstance(thing, type) else type(thing)
    return f"the class {kind.__name__} itself" if thing is kind else f"a {kind.__name__} ({thing!r:.60})"


class _Claims:
    """Checks of one policy or workload; the first that does not hold raises Unusable."""

    def __init__(self, offered: Any) -> None:  # whatever its fields are declared as, a plugin may put in others
        self.name = offered.name
        self.what = type(offered).__name__.lower()
        self.offered = offered

    @property
    def place(self) -> str:
        """File and line that declare it."""
        return location_of(self.offered) if isinstance(self.name, str) else ""

    def need(self, holds: bool, otherwise: str) -> None:
        if not holds:
            names = (self.name,) if isinstance(self.name, str) else ()
            raise Unusable(f"{self.what} {self.name}: {otherwise}", self.place, names)

    def common(self, offered: Any) -> None:
        self.need(isinstance(self.name, str), "its name is not a string")
        good = NAME.fullmatch(self.name) is not None and self.name not in RESERVED
        self.need(good, "a name is lower-case letters and digits with hyphens between them, and not 'all'")
        summary = offered.summary
        self.need(isinstance(summary, str) and summary.strip() != "", "its summary is not a line of text")
        self.need("\n" not in summary, "its summary has more than one line")
        self.need(_all(offered.references, str), "its references are not a tuple of strings")


def _all(values: object, kind: type) -> bool:
    return isinstance(values, tuple) and all(isinstance(one, kind) for one in values)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def check_policy(policy: Policy, check: Callable[[Scheme], object] | None = None) -> None:
    """Whether a policy in its default form is one: types, names, parameters, fields, and `check`.

    Raises:
        Unusable: it is not; says what is wrong and where.
    """
    claims = _Claims(policy)
    claims.common(policy)
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
                f"policy {policy.name}: the hook {name} is deprecated; {instead} ({claims.place})", FutureWarning, 2
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
        if check is not None:
            check(scheme)
    except Unusable:
        raise
    except FolioLabError as fault:
        text = fault.what.removeprefix(f"policy {policy.name}: ")
        raise Unusable(f"policy {policy.name}: {text} ({fault.hint})", claims.place, (policy.name,)) from fault
    except Exception as fault:
        told = f"policy {policy.name}: {type(fault).__name__}: {fault}"
        raise Unusable(told, offers=(policy.name,)) from fault


def _check_fields(claims: _Claims, fields: object) -> None:
    claims.need(_all(fields, Stored), "its fields are not a tuple of Stored")
    assert isinstance(fields, tuple)
    for one in fields:
        claims.need(one.per in get_args(Per), f"field {one.name} is per {one.per!r}, not {', '.join(get_args(Per))}")
        good = _whole(one.page, 0, 1 << LARGEST_ORDER) and _whole(one.offset, 0, 1 << 20)
        claims.need(
            good and _whole(one.count, 1, 1 << 20),
            f"field {one.name}: page, offset or count is no such number",
        )
        claims.need(_all(one.bits, Bits), f"field {one.name}: its bits are not a tuple of Bits")
        replace(one, page=0).at(64)  # raises for an unknown type or a misplaced offset


def _takes_two(function: object) -> bool:
    """Whether a function can be called with two arguments, as far as it shows."""
    code = getattr(function, "__code__", None)
    return code is None or code.co_argcount >= 2 or bool(code.co_flags & 4)


def check_workload(workload: Workload) -> None:
    """Whether a workload is one.

    Raises:
        Unusable: it is not; says what is wrong and where.
    """
    claims = _Claims(workload)
    claims.common(workload)
    claims.need(_takes_two(workload.prepare), "prepare is not a function of (machine, setting)")
    orders: Any = workload.orders
    good = isinstance(orders, tuple) and bool(orders) and all(_whole(o, 0, LARGEST_ORDER) for o in orders)
    claims.need(good, f"its orders are not numbers from 0 to {LARGEST_ORDER}")
    claims.need(isinstance(workload.needs, frozenset), "needs is not a frozenset")
    unknown = ", ".join(sorted(map(str, workload.needs - CAPABILITIES.keys())))
    claims.need(not unknown, f"it needs {unknown}; capabilities are {', '.join(CAPABILITIES)}")
    for name in ("mms", "spaces", "frames", "threads", "small"):
        claims.need(_whole(getattr(workload, name), 1, 1 << 20), f"{name} is not a number from 1 up")


def check_pattern(pattern: SharingPattern) -> None:
    """Whether a sharing pattern is one.

    Raises:
        Unusable: it is not.
    """
    claims = _Claims(pattern)
    claims.common(pattern)
    claims.need(_takes_two(pattern.play), "play is not a function of (processes, usage)")

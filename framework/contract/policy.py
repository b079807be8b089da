"""The policy contract: what a scheme declares, and the functions it consists of.

A policy is a `Policy` value: a name, the fields it stores, its parameters, what it claims to be able to do,
and plain functions that read like the kernel's. It is written once, from primitives and helpers of
`foliolab.framework.api`, and then interpreted, compiled, explored and solved from that one text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final, Literal

from foliolab.framework.errors import PluginError, UsageError
from foliolab.framework.machine.layout import Bits, Field
from foliolab.framework.machine.pointers import MM, Folio, Page

API_VERSION: Final = 1
"""The version of this contract; a policy written for it or the one before is accepted."""

DEPRECATED_HOOKS: Final[dict[str, str]] = {}
"""Hooks of this version that the next one will not have, each with what to use instead: who declares one is told."""

_EXACT_FOR: Final = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}

CAPABILITIES: Final = {
    "exact": "maybe_mapped_shared answers exactly, whatever maps the folio",
    **{
        f"exact-for-{word}": f"maybe_mapped_shared answers exactly while at most {word} MMs map the folio at a time"
        for word in _EXACT_FOR.values()
    },
    "safe": "maybe_mapped_shared never calls a folio exclusive that several MMs map",
    "page-mapcount": "page_mapcount is the exact number of mappings of that page",
    "average-mapcount": (
        "page_mapcount is the folio's average mapcount, rounded to nearest, at least 1 while it is mapped"
    ),
    "partial-mapping": "remove_* reports a partially mapped folio exactly when its last mapping of a page goes",
    "pmd": "folios may be mapped by a PMD",
    "reuse": "can_reuse may let the sole owner of a large folio write to it in place",
}
"""What a policy can claim. Claims select the checks and workloads that apply, and are put to the test."""


def exact_claim(owners: int) -> str:
    """The capability of answering exactly while at most so many MMs (2 to 8) map a folio at a time."""
    return f"exact-for-{_EXACT_FOR[owners]}"


def exact_up_to(claims: Set[str]) -> int:
    """For how many MMs at a time exactness is claimed by one of the `exact-for-…`; 0: for none."""
    return max((owners for owners in _EXACT_FOR if exact_claim(owners) in claims), default=0)


Per = Literal["folio", "page", "mm"]


@dataclass(frozen=True)
class Stored:
    """A field that a policy stores.

    Args:
        name: the kernel's name where there is one.
        ctype: i8 … u64.
        per: one per folio, per page, or per MM.
        page: which struct page of the folio holds it (per folio only); 1 is the first tail page.
        offset: bytes from the start of that struct page (or of the policy's part of struct mm); offsets
            of 64 and more lie outside of today's struct page and make it larger.
        count: elements of an array.
        init: value in a fresh folio; also the value it must have again once nothing maps the folio.
        wraps: arithmetic on it is meant modulo its width.
        overlays: it shares its bytes with another field on purpose (a union).
        transient: it need not return to `init` when nothing maps the folio.
        doc: one line.
        bits: named bit ranges, for pictures.
    """

    name: str
    ctype: str
    per: Per = "folio"
    page: int = 1
    offset: int = 0
    count: int = 1
    init: int | None = None
    wraps: bool = False
    overlays: bool = False
    transient: bool = False
    doc: str = ""
    bits: tuple[Bits, ...] = ()

    def at(self, stride: int) -> Field:
        """The same as a field of the struct it lives in, struct pages being `stride` bytes apart."""
        base = self.page * stride if self.per == "folio" else 0
        return Field(self.name, self.ctype, base + self.offset, self.count, self.init, self.wraps, self.doc, self.bits)


@dataclass(frozen=True)
class Parameter:
    """Something about a policy that its user may choose, as in `mm-id-slots:slots=3`.

    The text reads it as a module constant; choosing another value rebinds that constant.

    Args:
        name: as the user writes it.
        constant: the module constant.
        default: an integer, or one of `choices`.
        low, high: the range of an integer.
        choices: allowed words; the constant is the word's place in the list.
        doc: one line.
    """

    name: str
    constant: str
    default: int | str
    low: int = 0
    high: int = (1 << 31) - 1
    choices: tuple[str, ...] = ()
    doc: str = ""

    def parse(self, text: int | str, policy: str) -> int:
        """The constant's value for what the user wrote.

        Raises:
            UsageError: not a value of this parameter.
        """
        if self.choices:
            if str(text) in self.choices:
                return self.choices.index(str(text))
            raise UsageError(
                f"policy {policy}: {self.name}={text} is not a choice",
                f"choose one of {', '.join(self.choices)}",
            )
        try:
            value = int(text)
        except ValueError:
            value = self.low - 1
        if not self.low <= value <= self.high:
            raise UsageError(
                f"policy {policy}: {self.name}={text} is out of range", f"choose {self.low} to {self.high}"
            )
        return value


Hook = Callable[..., Any]
# The types of hooks, so that a type checker finds a hook of other arguments; a second form takes `vpn`, too.
FolioHook = Callable[[Folio], None]
PtesHook = Callable[[Folio, Page, int, MM], None] | Callable[[Folio, Page, int, MM, int], None]
PmdHook = Callable[[Folio, MM], None] | Callable[[Folio, MM, int], None]
AddPtesHook = Callable[[Folio, Page, int, MM], int] | Callable[[Folio, Page, int, MM, int], int]
AddPmdHook = Callable[[Folio, MM], tuple[int, int]] | Callable[[Folio, MM, int], tuple[int, int]]
RemovePtesHook = (
    Callable[[Folio, Page, int, MM], tuple[int, bool]] | Callable[[Folio, Page, int, MM, int], tuple[int, bool]]
)
RemovePmdHook = Callable[[Folio, MM], tuple[int, int, bool]] | Callable[[Folio, MM, int], tuple[int, int, bool]]


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """The functions of a policy; None takes the default, which changes nothing or answers as Linux 6.14 does.

    Every hook gets a large folio (order 1 and up; small folios need no scheme), pages of that folio, and the
    MM whose page table changes. `nr` is a number of consecutive pages. Hooks change the policy's own fields
    only; references, AnonExclusive, page tables and statistics are the engine's.

    The hooks out of HOOKS_WITH_PLACE may take one argument more, `vpn`: the page of address space at which the
    mappings begin. They may then look at the page tables of `mm` (`folio_mapped_between`), whose lock is held, as
    it is in the kernel: what is added is not there yet, what is removed is gone already, and where PTEs take the
    place of a PMD they are added below it before it is removed.

    Attributes:
        prepare: (folio) a folio was allocated; default: store every field's `init`.
        release: (folio) the folio is about to be freed.
        new_anon: (folio, page, nr, mm) a private new anonymous folio gets its first nr = all mappings.
        new_anon_pmd: (folio, mm) the same, mapped by one PMD.
        add_ptes: (folio, page, nr, mm) -> nr: nr PTEs map pages page…page+nr-1; returns by how much the
            statistic of mapped pages grows.
        add_pmd: (folio, mm) -> (nr, nr_pmdmapped).
        dup_page: (page) fork: one more mapping of this page; called for each page before dup_ptes.
        dup_ptes: (folio, page, nr, mm) fork: nr PTEs more, in the child `mm`.
        dup_pmd: (folio, mm) fork: one PMD more, in the child `mm`.
        remove_ptes: (folio, page, nr, mm) -> (nr, partially_mapped).
        remove_pmd: (folio, mm) -> (nr, nr_pmdmapped, partially_mapped).
        move_pte: (folio, page, mm, vpn, to) mremap moved the PTE of a page from `vpn` to `to`, which it maps now.
            PMDs that move whole, with everything below them, are not told.
        mapcount: (folio) -> number of mappings, PTEs and PMDs alike.
        entire_mapcount: (folio) -> number of PMD mappings.
        maybe_mapped_shared: (folio) -> False only if certainly a single MM maps the folio.
        can_reuse: (folio, page, mm) -> whether `mm`, faulting on a write to a page that is not AnonExclusive,
            may write in place: it is the sole owner and nobody else holds a reference.
        page_mapcount: (folio, page) -> what /proc/kpagecount shows and smaps divides by.
        page_exclusive: (folio, page) -> pagemap's bit 56, and smaps' private instead of shared.
    """

    prepare: FolioHook | None = None
    release: FolioHook | None = None
    new_anon: PtesHook
    new_anon_pmd: PmdHook | None = None
    add_ptes: AddPtesHook
    add_pmd: AddPmdHook | None = None
    dup_page: Callable[[Page], None] | None = None
    dup_ptes: PtesHook
    dup_pmd: PmdHook | None = None
    remove_ptes: RemovePtesHook
    remove_pmd: RemovePmdHook | None = None
    move_pte: Callable[[Folio, Page, MM, int, int], None] | None = None
    mapcount: Callable[[Folio], int] | None = None
    entire_mapcount: Callable[[Folio], int] | None = None
    maybe_mapped_shared: Callable[[Folio], bool]
    can_reuse: Callable[[Folio, Page, MM], bool] | None = None
    page_mapcount: Callable[[Folio, Page], int] | None = None
    page_exclusive: Callable[[Folio, Page], bool] | None = None

    def given(self) -> dict[str, Hook]:
        """The hooks that the policy wrote itself, by name."""
        return {f.name: h for f in fields(self) if (h := getattr(self, f.name)) is not None}


HOOK_ARGUMENTS: Final = {
    "prepare": 1, "release": 1, "new_anon": 4, "new_anon_pmd": 2, "add_ptes": 4, "add_pmd": 2, "dup_page": 1,
    "dup_ptes": 4, "dup_pmd": 2, "remove_ptes": 4, "remove_pmd": 2, "move_pte": 5, "mapcount": 1, "entire_mapcount": 1,
    "maybe_mapped_shared": 1, "can_reuse": 3, "page_mapcount": 2, "page_exclusive": 2,
}  # fmt: skip
"""How many arguments each hook takes."""

HOOK_RESULTS: Final = {
    "add_ptes": "a number", "add_pmd": "(nr, nr_pmdmapped)", "remove_ptes": "(nr, partially_mapped)",
    "remove_pmd": "(nr, nr_pmdmapped, partially_mapped)", "mapcount": "a number", "entire_mapcount": "a number",
    "maybe_mapped_shared": "True or False", "can_reuse": "True or False", "page_mapcount": "a number",
    "page_exclusive": "True or False",
}  # fmt: skip
"""What the hooks that answer something answer."""

HOOKS_WITH_PLACE: Final = frozenset(
    {
        "new_anon", "new_anon_pmd", "add_ptes", "add_pmd", "dup_ptes", "dup_pmd", "remove_ptes", "remove_pmd",
    }
)  # fmt: skip
"""The hooks that may take one argument more: the page of address space."""


def takes_place(name: str, hook: Hook) -> bool:
    """Whether a policy's hook of that name takes the page of address space, too."""
    return name in HOOKS_WITH_PLACE and hook.__code__.co_argcount == HOOK_ARGUMENTS[name] + 1


@dataclass(frozen=True)
class Models:
    """Which Linux kernels behave like a policy, so that a running one can be held against it.

    Args:
        since: the first release, (major, minor).
        until: the first release that no longer does; None: none so far.
        options: what its configuration must have, such as "CONFIG_MM_ID=y"; "CONFIG_X=n" is an option that is
            not set.

    Raises:
        PluginError: the releases are in no order, or an option is not written so.
    """

    since: tuple[int, int]
    until: tuple[int, int] | None = None
    options: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """In words: which releases, with which options."""
        first = ".".join(map(str, self.since))
        last = f"before {'.'.join(map(str, self.until))}" if self.until else "on"
        options = f", {', '.join(self.options)}" if self.options else ""
        return f"Linux from {first} {last}{options}"

    def __post_init__(self) -> None:
        for release in (self.since, self.until):
            if release is not None and [type(number) for number in release] != [int, int]:
                raise PluginError(f"{release!r} is no release of a kernel", "write (6, 15) for 6.15")
        if self.until is not None and self.until <= self.since:
            raise PluginError(
                f"a policy models kernels since {self.since} until {self.until}: that is none", "exchange the two"
            )
        for option in self.options:
            name, equals, value = option.partition("=")
            if not (name.startswith("CONFIG_") and equals and value):
                raise PluginError(f"{option!r} is no kernel option", 'write it like "CONFIG_MM_ID=y"')


Layout = Literal["6.7", "6.14", "mm-id-v1", "6.15", "rfc-2026"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A scheme that tracks who owns a large folio.

    Args:
        name: unique; lower case with hyphens.
        summary: one line.
        references: mails, commits and sections that define it.
        layout: which kernel's struct folio its fields extend.
        fields: what it stores, or a function of the chosen parameters that says so.
        hooks: its functions.
        parameters: what its user may choose.
        derive: constants that follow from the parameters, by name.
        capabilities: what it claims, out of CAPABILITIES.
        capabilities_of: what it claims for chosen parameters, where that depends on them.
        max_mm_id: the largest MM ID it can tell apart (or a function of the parameters); fork fails beyond.
        max_order: the largest folio it supports.
        max_mappings: the most mappings that one folio may have, all MMs together; what its counters must hold.
        api_version: the contract it was written for.
        replace: (function, other) pairs: the other stands in its place wherever the text calls it, so that a policy
            made with `dataclasses.replace` from another one may change a single step of it.
        mutants: wrong variants of it, each with one mistake, that a check against the kernel must refute.
        models: which kernels behave like it in its default form; None: no released one.
        module: the module whose constants the parameters rebind; the one that declares the policy.
    """

    name: str
    summary: str
    references: tuple[str, ...]
    fields: tuple[Stored, ...] | Callable[[Mapping[str, int]], tuple[Stored, ...]]
    hooks: Hooks
    layout: Layout = "6.15"
    parameters: tuple[Parameter, ...] = ()
    derive: Callable[[Mapping[str, int]], Mapping[str, Any]] | None = None
    capabilities: frozenset[str] = frozenset()
    capabilities_of: Callable[[Mapping[str, int]], frozenset[str]] | None = None
    max_mm_id: int | Callable[[Mapping[str, int]], int] = (1 << 31) - 1
    max_order: int = 15
    max_mappings: int = (1 << 31) - 1
    replace: tuple[tuple[Hook, Hook], ...] = ()
    mutants: Callable[[], tuple[Policy, ...]] | None = None
    models: Models | None = None
    api_version: int = API_VERSION
    module: str = ""

    def __post_init__(self) -> None:
        if not self.module:
            object.__setattr__(self, "module", sys._getframe(2).f_globals.get("__name__", ""))
        if self.api_version not in (API_VERSION, API_VERSION - 1):
            raise PluginError(
                f"policy {self.name} was made for version {self.api_version} of the policy contract",
                f"this FolioLab accepts versions {API_VERSION - 1} and {API_VERSION}",
            )
        if unknown := self.capabilities - CAPABILITIES.keys():
            raise PluginError(
                f"policy {self.name} claims {', '.join(sorted(unknown))}",
                f"claims are {', '.join(CAPABILITIES)}",
            )
        models: Any = self.models  # a plugin's types are checked by nobody else
        if models is not None and not isinstance(models, Models):
            raise PluginError(f"policy {self.name}: models is {models!r}", "write models=Models((6, 15), options=(…))")
        names = set() if callable(self.fields) else {f.name for f in self.fields}
        if names and self.hooks.mapcount is None and "_large_mapcount" not in names:
            raise PluginError(
                f"policy {self.name} neither has a hook mapcount nor stores _large_mapcount",
                "the number of all mappings of a folio must be known",
            )
        for name, hook in self.hooks.given().items():
            code = getattr(hook, "__code__", None)
            if code is None or not (code.co_argcount == HOOK_ARGUMENTS[name] or takes_place(name, hook)):
                more = f" (or {HOOK_ARGUMENTS[name] + 1}, with vpn)" if name in HOOKS_WITH_PLACE else ""
                raise PluginError(
                    f"policy {self.name}: hook {name} must be a function of {HOOK_ARGUMENTS[name]} arguments{more}",
                    "its arguments are listed in foliolab.framework.contract.policy.Hooks",
                )

    def with_parameters(self, chosen: Mapping[str, int | str] | None = None) -> Scheme:
        """The policy with its parameters chosen; defaults where nothing was.

        Raises:
            UsageError: no such parameter, or a value it cannot take.
        """
        chosen = chosen or {}
        known = {p.name: p for p in self.parameters}
        for name in chosen:
            if name not in known:
                raise UsageError(
                    f"policy {self.name} has no parameter {name!r}",
                    f"it has {', '.join(known)}" if known else "it has none",
                )
        values = {p.name: p.parse(chosen.get(p.name, p.default), self.name) for p in self.parameters}
        return Scheme(self, tuple(values.items()), tuple((k, str(v)) for k, v in chosen.items()))


@dataclass(frozen=True)
class Scheme:
    """A policy with every parameter chosen: what actually runs."""

    policy: Policy
    values: tuple[tuple[str, int], ...]
    chosen: tuple[tuple[str, str], ...] = ()

    def __hash__(self) -> int:
        # the whole declaration would be hashed at every look-up of something built for a scheme
        return hash((self.policy.name, self.values))

    @property
    def name(self) -> str:
        """As a user would write it: the policy and the parameters that were chosen."""
        return ":".join([self.policy.name, *([",".join(f"{k}={v}" for k, v in self.chosen)] if self.chosen else [])])

    @cached_property
    def fields(self) -> tuple[Stored, ...]:
        """What it stores."""
        declared = self.policy.fields
        return declared(dict(self.values)) if callable(declared) else declared

    @property
    def capabilities(self) -> frozenset[str]:
        """What it claims."""
        chosen = self.policy.capabilities_of
        return chosen(dict(self.values)) if chosen else self.policy.capabilities

    @property
    def max_mm_id(self) -> int:
        """The largest MM ID that it can tell apart."""
        limit = self.policy.max_mm_id
        return limit(dict(self.values)) if callable(limit) else limit

    @cached_property
    def constants(self) -> dict[tuple[str, str], Any]:
        """The module constants to rebind: the parameters' and what follows from them."""
        values = dict(self.values)
        named: dict[str, Any] = {p.constant: values[p.name] for p in self.policy.parameters}
        if self.policy.derive:
            named |= self.policy.derive(values)
        return {(self.policy.module, name): value for name, value in named.items()}

    def stored(self, per: Per) -> tuple[Stored, ...]:
        """The fields that it stores per folio, page or MM."""
        return tuple(f for f in self.fields if f.per == per)

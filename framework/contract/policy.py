"""The policy contract: what a scheme declares, and the functions it consists of.

A policy is a `Policy` value: a name, the fields it stores, its parameters, what it claims to be able to do,
and plain functions that read like the kernel's. It is written once, from primitives and helpers of
`foliolab.framework.api`, and then interpreted, compiled, explored and solved from that one text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any, Final, Literal

from foliolab.framework.contract.caller import CALLER_CLAIMS, Caller
from foliolab.framework.contract.hooks import HOOK_ARGUMENTS, HOOKS_WITH_VPN, Hook, Hooks, takes_vpn
from foliolab.framework.contract.models import Models
from foliolab.framework.contract.parameter import Parameter, Values, read_by
from foliolab.framework.contract.stored import Per, Stored
from foliolab.framework.errors import PluginError, UsageError
from foliolab.framework.machine.calltree import called_by, origin, readers, where

API_VERSION: Final = 2
"""The version of this contract; a policy that is written for this version or the one before is accepted.

Version 2: `derive`, `fields`, `capabilities_of` and `max_mm_id` get the chosen words of parameters with choices.
Version 1: they get the words' indexes. A policy that says `api_version=1` still does.
"""

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
"""What a policy can claim. Claims select the checks and workloads that apply; checks and the verifier test them."""
CLAIMS: Final = CAPABILITIES | CALLER_CLAIMS
"""What a policy under a caller can claim."""


def exact_claim(owners: int) -> str:
    """The capability of answering exactly while at most so many MMs (2 to 8) map a folio at a time."""
    return f"exact-for-{_EXACT_FOR[owners]}"


def exact_up_to(claims: Set[str]) -> int:
    """The number of MMs of an `exact-for-…` claim; 0 without such a claim."""
    return max((owners for owners in _EXACT_FOR if exact_claim(owners) in claims), default=0)


WITH: Final = "+"
"""Stands between a policy and its caller: mm-id+my-fork."""


def name_of(written: str) -> str:
    """The policy's name in a text such as mm-id:slots=3+my-fork."""
    return written.partition(WITH)[0].partition(":")[0]


def caller_of(written: str) -> str:
    """The caller's name in such a text; empty if there is none."""
    return written.partition(WITH)[2]


Layout = Literal["6.7", "6.14", "mm-id-v1", "6.15", "rfc-2026"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A scheme that tracks who owns a large folio.

    Args:
        name: unique; lower case with hyphens.
        summary: one line.
        references: mails, commits and sections that define it.
        layout: which kernel's struct folio its fields extend.
        fields: what it stores, or a function of the chosen parameters that returns it.
        hooks: its functions.
        parameters: what its user may choose.
        derive: constants that follow from the parameters, by name; named as in `Parameter.constant`.
        capabilities: what it claims, out of CAPABILITIES.
        capabilities_of: what it claims for chosen parameters, where that depends on them.
        max_mm_id: the largest MM ID it can tell apart (or a function of the parameters); fork fails beyond.
        max_order: the largest folio it supports.
        max_mappings: the most mappings that one folio may have, all MMs together; what its counters must hold.
        api_version: the contract it was written for.
        replace: (function, other) pairs: `other` is called wherever the text calls `function`, so that a policy
            made with `dataclasses.replace` from another one may change a single step of it. A function that the text
            never calls cannot be replaced; a hook is changed in `hooks`.
        mutants: wrong variants of it, each with one mistake, that a check against the kernel must refute: a function
            that returns them, or its name as "module:function", which is imported when the variants are needed.
        models: which kernels behave like it in its default form; None: no released one.
    """

    name: str
    summary: str
    references: tuple[str, ...]
    fields: tuple[Stored, ...] | Callable[[Values], tuple[Stored, ...]]
    hooks: Hooks
    layout: Layout = "6.15"
    parameters: tuple[Parameter, ...] = ()
    derive: Callable[[Values], Mapping[str, Any]] | None = None
    capabilities: frozenset[str] = frozenset()
    capabilities_of: Callable[[Values], frozenset[str]] | None = None
    max_mm_id: int | Callable[[Values], int] = (1 << 31) - 1
    max_order: int = 15
    max_mappings: int = (1 << 31) - 1
    replace: tuple[tuple[Hook, Hook], ...] = ()
    mutants: str | Callable[[], tuple[Policy, ...]] | None = None
    models: Models | None = None
    api_version: int = API_VERSION

    def __post_init__(self) -> None:
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
        models: Any = self.models  # a plugin may put any type here
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
            if code is None or not (code.co_argcount == HOOK_ARGUMENTS[name] or takes_vpn(name, hook)):
                more = f" (or {HOOK_ARGUMENTS[name] + 1}, with vpn)" if name in HOOKS_WITH_VPN else ""
                raise PluginError(
                    f"policy {self.name}: hook {name} must be a function of {HOOK_ARGUMENTS[name]} arguments{more}",
                    "its arguments are listed in foliolab.framework.contract.hooks.Hooks",
                )

    def with_parameters(self, chosen: Mapping[str, int | str] | None = None) -> Scheme:
        """The policy with the chosen parameters, and defaults for the others.

        Raises:
            UsageError: no such parameter, or a value it cannot take.
            PluginError: the policy declares a parameter or a replacement that changes nothing.
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
        self._refuse_idle_replacements()
        _ = self.bindings  # refuses a parameter that changes nothing
        return Scheme(self, tuple(values.items()), tuple((k, str(v)) for k, v in chosen.items()))

    def _refuse_idle_replacements(self) -> None:
        called = called_by(self.hooks.given().values(), dict(self.replace)) if self.replace else set()
        for function, _ in self.replace:
            if function not in called:
                raise PluginError(
                    f"policy {self.name}: replace names {function.__qualname__} at {where(function)}, "
                    "which the policy's text never calls",
                    "name a function that the hooks call; to change a hook itself, write it in hooks",
                )

    def wrong_variants(self) -> tuple[Policy, ...]:
        """The policies that `mutants` declares; empty if it declares none.

        Raises:
            PluginError: the named function does not exist.
        """
        if not isinstance(self.mutants, str):
            return self.mutants() if self.mutants is not None else ()
        module, _, function = self.mutants.partition(":")
        try:
            made: tuple[Policy, ...] = getattr(import_module(module), function)()
        except (ImportError, AttributeError, ValueError) as fault:
            raise PluginError(
                f"policy {self.name}: the wrong variants {self.mutants!r} cannot be imported: {fault}",
                'write mutants="module:function"',
            ) from fault
        return made

    @cached_property
    def _readers(self) -> dict[str, list[str]]:
        """For each constant, the modules whose functions read it; of all functions that the hooks reach."""
        return readers(self.hooks.given().values(), dict(self.replace))

    @cached_property
    def bindings(self) -> dict[str, list[tuple[str, str]]]:
        """Module and name of the constants that each parameter rebinds; without those that only `derive` reads.

        Raises:
            PluginError: nothing reads a parameter, or its constant's name means several constants.
        """
        found = {p.name: at for p in self.parameters if (at := self.constant(p.constant, f"parameter {p.name}"))}
        rest = [p for p in self.parameters if p.name not in found]
        if rest:
            functions = (self.derive, self.fields, self.capabilities_of, self.max_mm_id)
            values = {p.name: p.default for p in self.parameters}
            if self.api_version < 2:
                values = {p.name: p.parse(p.default, self.name) for p in self.parameters}
            used = read_by((one for one in functions if callable(one)), values)
            for p in rest:
                if p.name not in used:
                    raise PluginError(
                        f"policy {self.name}: the parameter {p.name} changes nothing: {self._unread(p.constant)}",
                        "read the constant in a function that a hook calls, use the value in derive, fields, "
                        "capabilities_of or max_mm_id, or remove the parameter",
                    )
        return found

    def _unread(self, constant: str) -> str:
        if not constant:
            return "it has no constant, and derive, fields, capabilities_of and max_mm_id do not use it"
        modules = sorted({module for found in self._readers.values() for module in found})
        return f"no function of {', '.join(modules)} reads the constant {constant}"

    def constant(self, name: str, user: str) -> list[tuple[str, str]]:
        """Module and name of a constant wherever functions of the policy read it; empty if none does.

        A module that imported the constant by name has it, too.

        Args:
            name: NAME or MODULE.NAME.
            user: what rebinds it, for messages.

        Raises:
            PluginError: functions of several modules each read a constant of their own of that name.
        """
        module, _, name = name.rpartition(".")
        modules = self._readers.get(name, [])
        if len(modules) > 1 or module:
            origins = {reader: origin(reader, name) for reader in modules}
            if not module and len(set(origins.values())) > 1:
                raise PluginError(
                    f"policy {self.name}: {user} rebinds the constant {name}, which "
                    f"{' and '.join(sorted(set(origins.values())))} each have",
                    f"write the module, too: '{origins[modules[0]]}.{name}'",
                )
            modules = [reader for reader in modules if not module or module in (reader, origins[reader])]
        return [(reader, name) for reader in modules]


@dataclass(frozen=True)
class Scheme:
    """A policy with a value for every parameter: what runs.

    Args:
        chosen: the parameters that the user chose, as written.
        caller: how the engine's operations proceed; None: by the engine's own text.
    """

    policy: Policy
    values: tuple[tuple[str, int], ...]
    chosen: tuple[tuple[str, str], ...] = ()
    caller: Caller | None = None

    def __hash__(self) -> int:
        # schemes are keys of many caches, and hashing the whole policy at every look-up is slow
        return hash((self.policy.name, self.values, self.caller and self.caller.name))

    @property
    def name(self) -> str:
        """The policy's name, the chosen parameters and the caller, as a user writes them."""
        written = ":".join([self.policy.name, *([",".join(f"{k}={v}" for k, v in self.chosen)] if self.chosen else [])])
        return f"{written}{WITH}{self.caller.name}" if self.caller else written

    def under(self, caller: Caller | None) -> Scheme:
        """The same policy and parameters under a caller."""
        return replace(self, caller=caller)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Every parameter's value as `derive` gets it: an integer, or the chosen word."""
        if self.policy.api_version < 2:
            return dict(self.values)
        return {p.name: p.word(value) for p, (_, value) in zip(self.policy.parameters, self.values, strict=True)}

    @cached_property
    def fields(self) -> tuple[Stored, ...]:
        """The fields that the policy stores with the chosen parameters."""
        declared = self.policy.fields
        return declared(self.parameters) if callable(declared) else declared

    @property
    def capabilities(self) -> frozenset[str]:
        """What the policy claims with the chosen parameters, and what the caller claims."""
        chosen = self.policy.capabilities_of
        claimed = chosen(self.parameters) if chosen else self.policy.capabilities
        return claimed | self.caller.claims if self.caller else claimed

    @property
    def max_mm_id(self) -> int:
        """The largest MM ID that the policy can tell apart."""
        limit = self.policy.max_mm_id
        return limit(self.parameters) if callable(limit) else limit

    @cached_property
    def constants(self) -> dict[tuple[str, str], Any]:
        """The constants to rebind, by module and name: those of the parameters, and what `derive` returns.

        Raises:
            PluginError: `derive` returns a name that means no constant, or several.
        """
        values = dict(self.values)
        found: dict[tuple[str, str], Any] = {
            at: values[name] for name, where_read in self.policy.bindings.items() for at in where_read
        }
        if self.policy.derive:
            for name, value in self.policy.derive(self.parameters).items():
                found |= dict.fromkeys(self.policy.constant(name, "derive"), value)
        return found

    def stored(self, per: Per) -> tuple[Stored, ...]:
        """The fields that the policy stores per folio, page or MM."""
        return tuple(f for f in self.fields if f.per == per)

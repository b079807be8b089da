"""What a policy and a plugin are asked: hooks and their defaults, claims, and the bytes that fields may use."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Final

from foliolab.framework.anatomy.layout import LAYOUT_NAMES, Box, StructPage, kernels_page
from foliolab.framework.contract.hooks import HOOK_ARGUMENTS, HOOKS_WITH_VPN, Hooks
from foliolab.framework.contract.policy import CAPABILITIES
from foliolab.framework.engine import hooks as defaults
from foliolab.framework.plugins.registry import KINDS
from foliolab.framework.reference.table import Code, Table, attributes
from foliolab.framework.verify.laws import LAWS

HOOK_WORDS: Final = attributes(inspect.getdoc(Hooks) or "")
ENGINE_COUNTS: Final = (
    ("new_anon, new_anon_pmd", "all pages of the folio as mapped (NR_ANON_MAPPED), for a PMD also as PMD-mapped",
     "nothing; `remove_ptes` and `remove_pmd` must take these pages off again, also under a policy whose `add_ptes` "
     "always answers 0"),
    ("add_ptes, add_pmd", "what the hook answers, as mapped: files, the swap-in and the split PMD of anonymous folios",
     "by how much the statistic grows"),
    ("dup_page, dup_ptes, dup_pmd", "nothing: the pages are mapped in the parent already", "nothing"),
    ("remove_ptes, remove_pmd", "what the hook answers, as no longer mapped; where it says partially_mapped, an "
     "anonymous folio is queued for splitting (NR_ANON_PARTIALLY_MAPPED), once",
     "by how much the statistic shrinks, and whether the folio is partially mapped"),
    ("no hook", "references, AnonExclusive, resident sizes, page tables, and small folios altogether", "nothing"),
)  # fmt: skip
"""What the engine counts when a hook is called, and what the hook answers; tests/engine/test_accounting.py holds it."""


def signature(function: Callable[..., object]) -> Code:
    """A function's signature, as its source has it."""
    return Code(function.__name__ + str(inspect.signature(function)).replace("'", ""))


def policy_hooks() -> list[Table]:
    """Every hook of the policy contract: signature, meaning, and the default of a policy without it."""
    rows = []
    for name in HOOK_ARGUMENTS:
        default = getattr(defaults, name)
        needed = next(f for f in fields(Hooks) if f.name == name).default is MISSING
        said = "must be given" if needed else inspect.getdoc(default) or ""
        vpn = "may take `vpn`, too" if name in HOOKS_WITH_VPN else ""
        rows.append((signature(default), HOOK_WORDS[name], said, vpn))
    return [Table(("hook", "meaning", "default", "page"), rows)]


def absent_hooks() -> list[Table]:
    """The defaults of hooks that depend on what a policy stores."""
    rows = [
        (Code(one.__name__), inspect.getdoc(one) or "", Code(field), inspect.getdoc(other) or "")
        for field, found in ((name, defaults.defaults(frozenset())) for name in ("_entire_mapcount", "_mapcount"))
        for one, other in found.items()
        if one not in defaults.defaults(frozenset({field}))
    ]
    return [Table(("hook", "default", "of a policy without", "default then"), rows)]


def plugin_hooks() -> list[Table]:
    """Every hook by which a plugin offers something: its signature and its meaning."""
    rows = [(Code(f"{kind.hook}() -> Iterable[{kind.type_name}]"), kind.doc) for kind in KINDS]
    return [Table(("hook", "meaning"), rows)]


def engine_counts() -> list[Table]:
    """What the engine counts when hooks are called."""
    head = ("hooks", "the engine counts", "the policy answers")
    return [Table(head, [(Code(hooks), counts, answers) for hooks, counts, answers in ENGINE_COUNTS])]


def capabilities() -> list[Table]:
    """The claims that a policy can make."""
    return [Table(("claim", "meaning"), [(Code(name), text) for name, text in CAPABILITIES.items()])]


def laws() -> list[Table]:
    """The laws that the verifier checks."""
    return [Table(("law", "meaning"), [(Code(name), text) for name, text in LAWS.items()])]


def free_bytes() -> list[Table]:
    """The bytes of the first three struct pages that a policy's fields may use, for each layout."""
    rows = []
    for layout, since in LAYOUT_NAMES.items():
        pages = [kernels_page(layout, number) for number in range(3)]
        kept = ", ".join(f"{box.name} {box.offset}" for box in pages[1].boxes)
        rows.append((Code(layout), since, *(_ranges(page) for page in pages), kept))
    head = ("layout", "of", "free in page 0", "free in page 1", "free in page 2", "what the kernel keeps in page 1")
    return [Table(head, rows)]


def _ranges(found: StructPage, what: Callable[[Box], bool] | None = None) -> str:
    """The free byte ranges of a struct page, or the ranges of the boxes for which `what` holds."""
    spans = found.free if what is None else [(box.offset, box.offset + box.size) for box in found.boxes if what(box)]
    return ", ".join(f"{start}–{end - 1}" for start, end in spans) or "none"

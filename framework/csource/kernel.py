"""The kernel's own functions as hooks: which function is which hook, and what the model fixes about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from foliolab.framework.csource import libclang
from foliolab.framework.csource.controlflow import Line
from foliolab.framework.csource.integer import struct_of
from foliolab.framework.csource.libclang import Cursor
from foliolab.framework.csource.place import Place
from foliolab.framework.csource.policytext import STRIDE, Declared, text_of
from foliolab.framework.csource.slicing import declared_in, extract
from foliolab.framework.csource.unit import Instance, Unit
from foliolab.framework.csource.vocabulary import Vocabulary
from foliolab.framework.errors import CSourceError
from foliolab.framework.machine.layout import PMD_ORDER

INCLUDE: Final = Path(__file__).with_name("include")
BEFORE: Final = ("foliolab.h", "kernel_before.h")
AFTER: Final = "kernel_after.h"
TYPES: Final = "include/linux/mm_types.h"
RMAP: Final = "mm/rmap.c"
FILES: Final = (
    TYPES, "include/linux/pgtable.h", "include/linux/mm.h", "mm/internal.h", "include/linux/rmap.h", RMAP,
    "mm/memory.c", "fs/proc/internal.h", "fs/proc/task_mmu.c",
)  # fmt: skip
"""The files of a kernel tree that hold the functions, in the order in which they are included."""
ALWAYS: Final = (
    "CONFIG_64BIT", "CONFIG_MMU", "CONFIG_TRANSPARENT_HUGEPAGE", "CONFIG_MEMCG", "CONFIG_HAVE_GUP_FAST",
    "CONFIG_SPARSEMEM_VMEMMAP", "CONFIG_PROC_PAGE_MONITOR",
)  # fmt: skip
"""The options that the model has."""

FACTS: Final = {
    "folio_test_large": 1, "folio_test_hugetlb": 0, "folio_test_ksm": 0, "is_zero_folio": 0,
    "folio_is_device_private": 0, "page_mapcount_is_type": 0, "folio_needs_cow_for_dma": 0,
    "folio_test_partially_mapped": 0, "folio_test_locked": 1, "folio_test_swapbacked": 1,
}  # fmt: skip
"""What the model fixes: hooks get large folios, which are no hugetlb, KSM, zero or device folios; fork has asked for
pins before; the engine queues a partially mapped folio itself."""
IGNORED: Final = frozenset(
    {
        "mlock_vma_folio", "munlock_vma_folio", "__folio_set_swapbacked", "__folio_set_anon", "mod_mthp_stat",
        "SetPageAnonExclusive", "ClearPageAnonExclusive", "folio_set_order", "INIT_LIST_HEAD", "__page_check_anon_rmap",
    }
)  # fmt: skip
"""What the engine does itself, or what is not modelled."""
ANSWERS: Final = {"__folio_mod_stat": {"nr_": 1, "pmd_": 2}, "deferred_split_folio": {"partially_": 1}}
"""The functions that tell the kernel's statistics and its split queue what a hook answers."""

PTES: Final = "folio, page, nr, mm"
PMD: Final = "folio, mm"
PMD_PAGES: Final = 1 << PMD_ORDER
"""What the kernel hands over where a PMD maps a folio: HPAGE_PMD_NR."""
LEVEL_PTE: Final = {"level": 0}
LEVEL_PMD: Final = {"level": 1}


@dataclass(frozen=True)
class KernelHook:
    """How a hook is made of the kernel's functions.

    Args:
        parameters: of the hook.
        functions: its function, by the names that it has had.
        anon: the function for anonymous folios, where that is another one.
        consts: arguments that are constants, by the parameter's name.
        facts: answers of functions that hold in this hook.
        answer: what the hook returns; "it": what the function does.
    """

    parameters: str
    functions: tuple[str, ...]
    anon: str = ""
    consts: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, int] = field(default_factory=dict)
    answer: str = ""


_REMOVED: Final = {"folio_test_anon": 1}
"""Only the question whether to queue a partially mapped folio depends on this; the engine asks it again."""
_NEW: Final = ("folio_add_new_anon_rmap",)
_ADDED: Final = (("__folio_add_file_rmap",), "__folio_add_anon_rmap")
_DUPLICATED: Final = (("__folio_dup_file_rmap",), "__folio_try_dup_anon_rmap")
HOOKS: Final[Mapping[str, KernelHook]] = {
    "new_anon": KernelHook(PTES, _NEW, "", {"flags": 0}, {"folio_test_pmd_mappable": 0}),
    "new_anon_pmd": KernelHook(PMD, _NEW, "", {"flags": 0}, {"folio_test_pmd_mappable": 1}),
    "add_ptes": KernelHook(PTES, *_ADDED, {**LEVEL_PTE, "flags": 0}, answer="nr_"),
    "add_pmd": KernelHook(PMD, *_ADDED, {**LEVEL_PMD, "flags": 0}, answer="nr_, pmd_"),
    "dup_ptes": KernelHook(PTES, *_DUPLICATED, LEVEL_PTE),
    "dup_pmd": KernelHook(PMD, *_DUPLICATED, LEVEL_PMD),
    "remove_ptes": KernelHook(PTES, ("__folio_remove_rmap",), "", LEVEL_PTE, _REMOVED, "-nr_, partially_"),
    "remove_pmd": KernelHook(PMD, ("__folio_remove_rmap",), "", LEVEL_PMD, _REMOVED, "-nr_, -pmd_, partially_"),
    "mapcount": KernelHook("folio", ("folio_mapcount",), answer="it"),
    "entire_mapcount": KernelHook("folio", ("folio_entire_mapcount",), answer="it"),
    "maybe_mapped_shared": KernelHook(
        "folio", ("folio_maybe_mapped_shared", "folio_likely_mapped_shared"), answer="it"
    ),
    "can_reuse": KernelHook("folio, page, mm", ("__wp_can_reuse_large_anon_folio",), answer="it"),
    "page_mapcount": KernelHook("folio, page", ("folio_precise_page_mapcount", "page_mapcount"), answer="it"),
    "page_exclusive": KernelHook("folio, page", ("__folio_page_mapped_exclusively",), answer="it"),
}  # fmt: skip
AVERAGE: Final = "folio_average_page_mapcount"
"""What /proc shows where pages have no mapcounts."""
PREPARE: Final = "prep_compound_head"
"""The function that gives a folio's fields their initial values."""
_STORED: Final = re.compile(r"(?:store|atomic_set)\(folio\.(\w+)(?:\[\d+\])?, (-?\d+)\)")
LAYOUTS: Final = {(28, 56): "6.15", (28, 32): "6.14", (32, 36): "6.7"}
"""The layouts of struct folio by the offsets of `_pincount` and of the number of pages."""


@dataclass(frozen=True)
class Configuration:
    """The options that decide about the counters.

    Args:
        mm_id: CONFIG_MM_ID; None in a tree that does not have it yet.
        page_mapcount: CONFIG_PAGE_MAPCOUNT.
    """

    mm_id: bool | None
    page_mapcount: bool

    @property
    def options(self) -> tuple[str, ...]:
        """All options that are set."""
        found = list(ALWAYS)
        if self.mm_id:
            found.append("CONFIG_MM_ID")
        if self.mm_id is not None:
            found.append("CONFIG_PAGE_MAPCOUNT" if self.page_mapcount else "CONFIG_NO_PAGE_MAPCOUNT")
        return tuple(found)

    def __str__(self) -> str:
        chosen = "n" if not self.mm_id else "y" if self.page_mapcount else "y,NO_PAGE_MAPCOUNT=y"
        return f"MM_ID={chosen}"


def translated(
    files: Mapping[str, str], names: Mapping[str, str], config: Configuration, declared: tuple[str, str]
) -> str:
    """The text of the policy that a kernel tree has.

    Args:
        files: the text of each of FILES that the tree has.
        names: for each, the name of the file that lines refer to.
        declared: the policy's name, and one line about it.

    Raises:
        CSourceError: the tree lacks a function, or one has no translation.
    """
    unit = unit_of(files, names, config)
    hooks = dict(_hooks(unit, config))
    missing = [
        name for name in ("new_anon", "add_ptes", "dup_ptes", "remove_ptes", "maybe_mapped_shared") if name not in hooks
    ]
    if missing:
        wanted = ", ".join(" or ".join(HOOKS[name].functions) for name in missing)
        raise CSourceError(
            f"{names[TYPES]}: the tree has no {wanted}",
            "name a tree of Linux 6.8 or later: before, rmap had other functions for large folios",
        )
    initial = _initial(unit)
    kept = Declared(
        name=declared[0],
        summary=declared[1],
        references=("the kernel's own text",),
        layout=_layout(unit, names[TYPES]),
        claims=_claims(unit, config, hooks),
        max_mm_id=(1 << 31) - 1,
    )
    return _told(unit, config) + text_of(unit, kept, hooks, initial)


def unit_of(
    files: Mapping[str, str], names: Mapping[str, str], config: Configuration, more: Iterable[str] = ()
) -> Unit:
    """The functions of a tree, with all that they use. Arguments and errors as `translated`.

    Args:
        more: names of further functions.
    """
    stubs = {f"/{name}": (INCLUDE / name).read_text() for name in (*BEFORE, AFTER)}
    wanted = {name for hook in HOOKS.values() for name in (*hook.functions, hook.anon) if name}
    wanted |= {*more, AVERAGE, PREPARE, "folio", "page", "mm_id_t", "rmap_level", "pgtable_level", "RMAP_NONE"}
    if not config.mm_id:
        wanted -= set(HOOKS["can_reuse"].functions)
    known = declared_in("".join(stubs.values())) | {"address_space", "mem_cgroup"}
    taken = extract(
        {names[one]: text for one, text in files.items()},
        wanted,
        known,
    )
    main = [f"#define {option} 1" for option in config.options]
    main += [f'#include "{name}"' for name in BEFORE]
    for one in files:
        main.append(f'#include "{names[one]}"')
        main += [f'#include "{AFTER}"'] if one == TYPES else []
    cursor = libclang.parsed("\n".join(main) + "\n", {**stubs, **taken.texts})
    return Unit(cursor, taken.texts, Vocabulary(FACTS, IGNORED, ANSWERS), drops_checks=True)


# -- hooks -----------------------------------------------------------------------------------------
def _hooks(unit: Unit, config: Configuration) -> Iterator[tuple[str, str]]:
    """Each hook that the tree has, and the policy's function for it."""
    for name, hook in HOOKS.items():
        if function := function_of(unit, name, hook, config):
            unit.instances.append(_hook(unit, name, hook, function))
            yield name, name


def function_of(unit: Unit, name: str, hook: KernelHook, config: Configuration) -> str:
    """The tree's function for a hook; empty if it has none."""
    functions = (AVERAGE,) if name == "page_mapcount" and not config.page_mapcount else hook.functions
    return next((one for one in functions if one in unit.functions), "")


def _hook(unit: Unit, name: str, hook: KernelHook, function: str) -> Instance:
    """A hook that calls the kernel's function with what the hook gets."""
    place = Place.of(unit.functions[function].location)
    answers = unit.answers_of(function)
    target = f"{', '.join(answers)} = " if answers and hook.answer else ""
    call = f"{target}{_call(unit, hook, function)}"
    lines: list[Line] = [(0, f"def {name}({hook.parameters}):", place)]
    if hook.anon and hook.anon in unit.functions:
        other = Place.of(unit.functions[hook.anon].location)
        asked = unit.called("folio_test_anon", "folio")
        anon = f"{target}{_call(unit, hook, hook.anon)}"
        lines += [(1, f"if {asked}:", place), (2, anon, other), (1, "else:", place), (2, call, place)]
    else:
        lines.append((1, f"return {call}" if hook.answer == "it" else call, place))
    if hook.answer not in ("", "it"):
        lines.append((1, f"return {hook.answer}", place))
    return Instance(name, lines, place)


def _call(unit: Unit, hook: KernelHook, function: str) -> str:
    """The call of a kernel function, its arguments by the types and names of its parameters."""
    consts, given = [], []
    for one in unit.functions[function].get_arguments():
        if one.spelling in hook.consts:
            consts.append((one.spelling, hook.consts[one.spelling]))
        else:
            given.append(_argument(unit, hook, one))
    return f"{unit.translated(function, tuple(consts), hook.facts)}({', '.join(given)})"


def _argument(unit: Unit, hook: KernelHook, parameter: Cursor) -> str:
    given = given_of(hook, parameter)
    if given == "head":
        return unit.called("as_page", "folio")
    return "mm" if given == "vma" else given


def given_of(hook: KernelHook, parameter: Cursor) -> str:
    """What a kernel function gets of what the hook gets: its name, "head" for the folio's first page, or a number."""
    of = struct_of(parameter.type)
    if of in ("folio", "page"):
        return of if of in hook.parameters else "head"
    if of in ("vm_area_struct", "mm_struct"):
        return "vma" if of == "vm_area_struct" else "mm"
    if "nr" in parameter.spelling:
        return "nr" if "nr" in hook.parameters else str(PMD_PAGES)
    return "0"  # an address, or the order of a folio whose statistic is not modelled


# -- what is declared --------------------------------------------------------------------------------
def _initial(unit: Unit) -> dict[str, int]:
    """The constants that the kernel stores in a new large folio."""
    before = len(unit.instances), set(unit.imports)
    unit.translated(PREPARE)
    lines = [text for one in unit.instances[before[0] :] for _, text, _ in one.lines]
    del unit.instances[before[0] :]
    unit.imports = before[1]
    found = [_STORED.fullmatch(text) for text in lines]
    return {"page._mapcount": -1} | {f"folio.{one[1]}": int(one[2]) for one in found if one}


def _layout(unit: Unit, file: str) -> str:
    kind = unit.structs["folio"]
    pincount = kind.get_offset("_pincount") // 8 - STRIDE
    pages = max(kind.get_offset(name) for name in ("_nr_pages", "_folio_nr_pages")) // 8 - STRIDE
    if unit.structs["page"].get_size() != STRIDE or (pincount, pages) not in LAYOUTS:
        raise CSourceError(
            f"{file}: struct folio is none that FolioLab models (_pincount at byte {pincount} of the first tail page)",
            "name a tree whose struct page has 64 bytes and whose struct folio is that of Linux 6.8 to 7.3",
        )
    return LAYOUTS[pincount, pages]


def _claims(unit: Unit, config: Configuration, hooks: Mapping[str, str]) -> tuple[str, ...]:
    """What the configuration says of itself; it cannot be read off the C text."""
    found = ["page-mapcount", "partial-mapping"] if config.page_mapcount else ["average-mapcount"]
    found += ["pmd"] if "add_pmd" in hooks else []
    found += ["safe"] if "folio_maybe_mapped_shared" in unit.functions else []
    return (*found, *(["exact-for-two", "reuse"] if config.mm_id else []))


def _told(unit: Unit, config: Configuration) -> str:
    """Comments that say what was assumed and left out."""
    facts = ", ".join(f"{name} is {bool(value)}" for name, value in sorted(unit.used_facts.items()))
    lines = [f"options: {', '.join(config.options)}", f"facts of the model: {facts or 'none'}"]
    lines += [
        f"{place}: {' '.join(what.split())}"
        for place, what in sorted(unit.notes.items(), key=lambda item: str(item[0]))
    ]
    return "".join(f"# {line}\n" for line in lines)

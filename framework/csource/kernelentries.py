"""The kernel's own functions for the system's compiler: as they are, with the engine's entries that call them.

They are extracted; or the whole mm/rmap.c is compiled, and entries call what it exports and what headers define.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from foliolab.framework.csource.compilertext import (
    KERNEL_NATIVE,
    allowed,
    engine_constants,
    entry,
    fixed_answers,
    header,
    headers,
    included,
    size_of_a_page,
)
from foliolab.framework.csource.kernel import (
    AFTER,
    ANSWERS,
    BEFORE,
    FACTS,
    HOOKS,
    IGNORED,
    RMAP,
    TYPES,
    Configuration,
    KernelHook,
    function_of,
    given_of,
    unit_of,
)
from foliolab.framework.csource.unit import Unit

IN_C: Final = frozenset({"SetPageAnonExclusive", "ClearPageAnonExclusive"})
"""What the compiled functions do themselves: the engine has done so already, or does it once more."""
_ARGUMENTS: Final = {"head": "(struct page *)folio", "vma": "&vma"}
WHOLE_ENTRIES: Final = "whole_entries.h"
_EXPORTED: Final = {
    f"__folio_{what}_rmap": f"folio_{what}_rmap" for what in ("add_file", "add_anon", "remove")
}  # fmt: skip
"""How mm/rmap.c exports what only it can call: by these names, with the level behind."""
_LEVELS: Final = ("ptes", "pmd")
_OTHER_HEADER: Final = "fs/proc/internal.h"
"""The header with functions of hooks that whole_entries.h does not include."""


def compiler_text(files: Mapping[str, str], names: Mapping[str, str], config: Configuration) -> str:
    """The functions as the system's compiler gets them (see `compilertext`). Arguments and errors as `translated`."""
    unit = unit_of(files, names, config)
    parts = ["".join(f"#define {option} 1\n" for option in config.options), engine_constants()]
    parts += [headers(BEFORE[0]), header(BEFORE[1])]
    for one in files:
        parts.append(included(names[one], allowed(names[one], unit.texts[names[one]])))
        if one == TYPES:
            parts += [header(AFTER), header(KERNEL_NATIVE), fixed_answers(FACTS, IGNORED - IN_C, ANSWERS)]
    parts.append(size_of_a_page())
    for name, hook in HOOKS.items():
        if function := function_of(unit, name, hook, config):
            parts += _entries(unit, name, hook, function, hook.anon)
    return "".join(parts)


def whole_entries(files: Mapping[str, str], names: Mapping[str, str], config: Configuration) -> str:
    """The entries that call the whole mm/rmap.c, and headers of the tree. Arguments and errors as `translated`.

    What neither exports nor defines, such as the static functions of mm/memory.c, has no entry here.
    """
    exported = {f"{name}_{level}" for name in _EXPORTED.values() for level in _LEVELS}
    unit = unit_of(files, names, config, exported)
    parts = [header(WHOLE_ENTRIES)]
    if _OTHER_HEADER in files:
        parts.append(f'#include "{names[_OTHER_HEADER]}"\n')
    for name, hook in HOOKS.items():
        level = _LEVELS[hook.consts.get("level", 0)]
        function = _seen_outside(unit, names, function_of(unit, name, hook, config), level)
        if function:
            parts += _entries(unit, name, hook, function, _seen_outside(unit, names, hook.anon, level))
    return "".join(parts)


def _seen_outside(unit: Unit, names: Mapping[str, str], function: str, level: str) -> str:
    """The name by which a function is called from outside of its file; empty where it cannot be."""
    other = f"{_EXPORTED[function]}_{level}" if function in _EXPORTED else function
    if other not in unit.functions:
        return ""
    file = unit.functions[other].location.file.name
    return other if file.endswith(".h") or file == names[RMAP] else ""


def _entries(unit: Unit, name: str, hook: KernelHook, function: str, of_anon: str) -> Iterator[str]:
    """The entries that call a kernel function, or that for anonymous folios."""
    call = f"{_call(unit, hook, function)};"
    anon = f"{_call(unit, hook, of_anon)};" if of_anon in unit.functions else call
    before = [f"FL_VMA{'_OF_NEW' if name.startswith('new') else ''};"] if _ARGUMENTS["vma"] in call + anon else []
    if "folio_test_pmd_mappable" in hook.facts:
        before.append(f"foliolab_told.pmd_mappable = {hook.facts['folio_test_pmd_mappable']};")
    if hook.answer == "it":
        yield entry(name, [*before, f"return {call}"])
    elif name == "dup_ptes":
        yield entry("dup_file_ptes", [*before, call, "return 0;"])
        yield entry("dup_anon_ptes", [*before, anon, "return 0;"])
    else:
        both = [call] if anon == call else ["if (folio_test_anon(folio))", f"\t{anon}", "else", f"\t{call}"]
        yield entry(name, [*before, *both, "return 0;"] if not hook.answer else [
            *before, "foliolab_told.nr_ = foliolab_told.pmd_ = foliolab_told.partially_ = 0;", *both,
            f"return FL_PACKED({_packed(hook.answer)});",
        ])  # fmt: skip


def _packed(answer: str) -> str:
    """A hook's answer, such as "-nr_, partially_", as three arguments: nr, nr_pmdmapped, partially_mapped."""
    given = {one.strip(" -"): one.strip() for one in answer.split(",")}
    texts = (given.get(one, "0").replace(one, f"foliolab_told.{one}") for one in ("nr_", "pmd_", "partially_"))
    return ", ".join(texts)


def _call(unit: Unit, hook: KernelHook, function: str) -> str:
    given = []
    for one in unit.functions[function].get_arguments():
        argument = str(hook.consts[one.spelling]) if one.spelling in hook.consts else given_of(hook, one)
        given.append(_ARGUMENTS.get(argument, argument))
    return f"{function}({', '.join(given)})"

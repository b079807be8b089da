"""A policy in one C file: its functions are named like the hooks, and it declares what it stores.

The file defines `struct folio` (and `struct page` and `struct mm_struct`, if it stores something there) with the
members at their real offsets. What `prepare` stores are the initial values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from foliolab.framework import intake
from foliolab.framework.csource import libclang
from foliolab.framework.csource.compilertext import (
    MM_BEFORE,
    allowed,
    engine_constants,
    entry,
    headers,
    included,
    mm_struct_in_place,
    size_of_a_page,
)
from foliolab.framework.csource.controlflow import Line
from foliolab.framework.csource.integer import integer_of, is_out_parameter, struct_of
from foliolab.framework.csource.libclang import Cursor
from foliolab.framework.csource.name import policy_name
from foliolab.framework.csource.place import Place
from foliolab.framework.csource.policytext import Declared, text_of
from foliolab.framework.csource.unit import Unit
from foliolab.framework.csource.value import refused
from foliolab.framework.csource.vocabulary import Vocabulary
from foliolab.framework.errors import CSourceError

STUB: Final = Path(__file__).with_name("include") / "foliolab.h"
LONGEST: Final = 1 << 20
"""Bytes of a file, at most."""
_INCLUDE: Final = re.compile(r'^([ \t]*)#[ \t]*include[ \t]*[<"].*$', re.MULTILINE)
_DECLARED: Final = re.compile(r'^[ \t]*#[ \t]*define[ \t]+FOLIOLAB_(\w+)[ \t]+(?:"([^"]*)"|(\w+))', re.MULTILINE)
DECLARATIONS: Final = ("SUMMARY", "REFERENCE", "LAYOUT", "CLAIMS", "MAX_MM_ID")
_INITIAL: Final = re.compile(r"(?:store|atomic_set|WRITE_ONCE)\((folio)\.(\w+)(?:\[\d+\])?, (-?\w+)\)")


class Signature(NamedTuple):
    """What a hook is in C: the structs or `int` of its parameters, the results through pointers, and its own."""

    parameters: tuple[str, ...]
    outs: int = 0
    returns: bool = False


FOLIO_PTES: Final = ("folio", "page", "int", "mm_struct")
SIGNATURES: Final[dict[str, Signature]] = {
    "prepare": Signature(("folio",)),
    "release": Signature(("folio",)),
    "new_anon": Signature(FOLIO_PTES),
    "new_anon_pmd": Signature(("folio", "mm_struct")),
    "add_ptes": Signature(FOLIO_PTES, returns=True),
    "add_pmd": Signature(("folio", "mm_struct"), 1, True),
    "dup_page": Signature(("page",)),
    "dup_ptes": Signature(FOLIO_PTES),
    "dup_pmd": Signature(("folio", "mm_struct")),
    "remove_ptes": Signature(FOLIO_PTES, 1, True),
    "remove_pmd": Signature(("folio", "mm_struct"), 2, True),
    "mapcount": Signature(("folio",), returns=True),
    "entire_mapcount": Signature(("folio",), returns=True),
    "maybe_mapped_shared": Signature(("folio",), returns=True),
    "can_reuse": Signature(("folio", "page", "mm_struct"), returns=True),
    "page_mapcount": Signature(("folio", "page"), returns=True),
    "page_exclusive": Signature(("folio", "page"), returns=True),
}
"""The hooks that a C file may define. In `remove_ptes` the result through a pointer is `partially_mapped`; in `add_pmd`
it is `nr_pmdmapped`, and in `remove_pmd` that and `partially_mapped`, in this order."""
REQUIRED: Final = ("new_anon", "add_ptes", "dup_ptes", "remove_ptes", "maybe_mapped_shared")


def translated(path: Path) -> str:
    """The text of the policy that a C file is.

    Raises:
        CSourceError: the file cannot be read, or has something without translation; names file and line.
    """
    unit, text = _unit(path)
    declared = _declared(text, path)
    hooks = {hook: unit.translated(hook, hook=hook) for hook in _hooks(unit, path)}
    initial = _initial([line for one in unit.instances if one.name == hooks.get("prepare") for line in one.lines], unit)
    if hooks.get("prepare") and _only_initial(unit, hooks["prepare"]):
        unit.instances = [one for one in unit.instances if one.name != hooks["prepare"]]
        del hooks["prepare"]
    return text_of(unit, declared, hooks, initial)


def compiler_text(path: Path) -> str:
    """The file as the system's compiler gets it (see `compilertext`). Raises as `translated`."""
    unit, _ = _unit(path)
    ((name, plain),) = unit.texts.items()
    hooks = _hooks(unit, path)
    kept = allowed(name, mm_struct_in_place(unit.without_functions(name, unit.reached(hooks))))
    parts = [
        engine_constants(), headers(STUB.name), _missing_structs(plain, MM_BEFORE), included(name, kept),
        size_of_a_page(), *_entries({hook: unit.functions[hook] for hook in hooks}),
    ]  # fmt: skip
    return "".join(parts)


def _unit(path: Path) -> tuple[Unit, str]:
    """The translation unit of a C file, and the file's text."""
    text = read(path)
    name = os.path.abspath(path)
    plain = _INCLUDE.sub(r"\1", text)
    stub = STUB.read_text()
    main = f'#include "{STUB.name}"\n{_missing_structs(plain)}#include "{name}"\n'
    cursor = libclang.parsed(main, {f"/{STUB.name}": stub, name: plain})
    return Unit(cursor, {name: plain}, Vocabulary()), text


def read(path: Path) -> str:
    """The text of a C file.

    Raises:
        CSourceError: it cannot be read, or is too large.
    """
    data = intake.read(path, "C file", "name a C file", LONGEST, CSourceError)
    try:
        return data.decode()
    except UnicodeDecodeError as fault:
        raise CSourceError(f"{path} cannot be read: {fault}", "name a C file") from fault


def _declared(text: str, path: Path) -> Declared:
    given: dict[str, str] = {}
    for found in _DECLARED.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found[1] not in DECLARATIONS:
            known = ", ".join(f"FOLIOLAB_{name}" for name in DECLARATIONS)
            raise CSourceError(f"{path}:{line}: there is no FOLIOLAB_{found[1]}", f"a file may define {known}")
        given[found[1]] = found[2] if found[2] is not None else found[3]
    try:
        most = int(given.get("MAX_MM_ID", str((1 << 31) - 1)), 0)
    except ValueError as fault:
        raise CSourceError(f"{path}: FOLIOLAB_MAX_MM_ID is no number", "write it like 0x7fffffff") from fault
    return Declared(
        name=policy_name(path),
        summary=given.get("SUMMARY", f"the scheme of {path.name}"),
        references=(given.get("REFERENCE", path.name),),
        layout=given.get("LAYOUT", "6.15"),
        claims=tuple(given.get("CLAIMS", "safe").replace(",", " ").split()),
        max_mm_id=most,
    )


def _missing_structs(text: str, before_the_id: str = "") -> str:
    """Definitions of the structs that the file does not define."""
    known = {
        "page": "struct page { unsigned long __engine[8]; };",
        "mm_struct": f"struct mm_struct {{ {before_the_id} unsigned int mm_id; }};",
    }
    return "".join(f"{made}\n" for name, made in known.items() if not re.search(rf"\bstruct\s+{name}\s*{{", text))


def _hooks(unit: Unit, path: Path) -> list[str]:
    """The hooks that the file defines, with their signatures checked."""
    if "folio" not in unit.structs:
        raise CSourceError(
            f"{path} does not define struct folio",
            "define it with what the scheme stores, as `foliolab new policy --c` does",
        )
    missing = [name for name in REQUIRED if name not in unit.functions]
    if missing:
        raise CSourceError(f"{path} has no function {', '.join(missing)}", f"a scheme defines {', '.join(REQUIRED)}")
    found = [name for name in SIGNATURES if name in unit.functions]
    for name in found:
        _check(name, unit.functions[name])
    return found


def _check(hook: str, function: Cursor) -> None:
    wanted, parameters = SIGNATURES[hook], list(function.get_arguments())
    plain = [one for one in parameters if not is_out_parameter(one.type)]
    given = tuple(struct_of(one.type) or ("int" if integer_of(one.type) else one.type.spelling) for one in plain)
    returns = integer_of(function.result_type) is not None
    outs = len(parameters) - len(plain)
    if given != wanted.parameters or outs != wanted.outs or returns != wanted.returns:
        raise refused(
            Place.of(function.location),
            f"{hook} has another signature than the hook",
            f"write {_prototype(hook)}",
        )


def _prototype(hook: str) -> str:
    wanted = SIGNATURES[hook]
    names = {"folio": "folio", "page": "page", "mm_struct": "mm"}
    given = [f"struct {one} *{names[one]}" if one in names else "int nr" for one in wanted.parameters]
    outs = {"add_pmd": ["int *nr_pmdmapped"], "remove_ptes": ["bool *partially_mapped"]}
    outs["remove_pmd"] = [*outs["add_pmd"], *outs["remove_ptes"]]
    truths = ("maybe_mapped_shared", "can_reuse", "page_exclusive")
    kind = "bool" if hook in truths else "int" if wanted.returns else "void"
    return f"{kind} {hook}({', '.join([*given, *outs.get(hook, [])])})"


# -- initial values --------------------------------------------------------------------------------
def _initial(lines: list[Line], unit: Unit) -> dict[str, int]:
    """The constants that `prepare` stores, by struct and field."""
    found = {"page._mapcount": -1}  # as every page's when it is freed
    for _, text, _ in lines:
        if stored := _INITIAL.fullmatch(text):
            value = stored[3]
            found[f"{stored[1]}.{stored[2]}"] = unit.constants[value] if value in unit.constants else int(value)
    return found


def _only_initial(unit: Unit, name: str) -> bool:
    """Whether `prepare` only stores constants: that is what the engine does without it, by `init`."""
    lines = next(one.lines for one in unit.instances if one.name == name)
    return all(_INITIAL.fullmatch(text) for _, text, _ in lines[1:])


# -- entries for the system's compiler ---------------------------------------------------------------
_ARGUMENTS: Final = {"folio": "folio", "page": "page", "int": "nr", "mm_struct": "mm"}
_PACKED: Final = {"add_pmd": "answer, out0, 0", "remove_ptes": "answer, 0, out0", "remove_pmd": "answer, out0, out1"}


def _entries(hooks: Mapping[str, Cursor]) -> Iterator[str]:
    """The entries that call the file's functions. `prepare` is not among them: its entry sets the declared fields."""
    for hook, function in hooks.items():
        outs = [one.type.get_pointee().spelling for one in function.get_arguments() if is_out_parameter(one.type)]
        given = [*(_ARGUMENTS[one] for one in SIGNATURES[hook].parameters), *(f"&out{at}" for at in range(len(outs)))]
        call = f"{hook}({', '.join(given)});"
        if hook in _PACKED:
            declared = [f"{kind} out{at} = 0;" for at, kind in enumerate(outs)]
            yield entry(hook, [*declared, f"long answer = {call}", f"return FL_PACKED({_PACKED[hook]});"])
        elif hook == "dup_ptes":
            page = ["dup_page(nth_page(page, i));"] if "dup_page" in hooks else []
            yield entry("dup_file_ptes", [*_each_page(page), call, "return 0;"])
            yield entry(
                "dup_anon_ptes",
                [*_each_page(["FL_CLEAR_ANON_EXCLUSIVE(nth_page(page, i));", *page]), call, "return 0;"],
            )
        elif hook not in ("prepare", "dup_page"):
            yield entry(hook, [f"return {call}"] if SIGNATURES[hook].returns else [call, "return 0;"])


def _each_page(statements: list[str]) -> list[str]:
    return ["for (long i = 0; i < nr; i++) {", *statements, "}"] if statements else []

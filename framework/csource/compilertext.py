"""A policy's C text as the system's compiler gets it: with definitions of the primitives, and the engine's entries.

What the translator followed is all that is compiled: nothing else of a file can run. An entry has the arguments and
the result of `engine.calls.ENTRIES`, and calls the policy's functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from foliolab.framework.csource.place import Place
from foliolab.framework.csource.slicing import SourceFile, without_comments
from foliolab.framework.csource.value import refused
from foliolab.framework.engine import calls, structs

INCLUDE: Final = Path(__file__).with_name("include")
COMPILER: Final = "compiler.h"
NATIVE: Final = "native.h"
EXPLORED: Final = "explored.h"
"""The header that stands in the place of NATIVE where the explored attack runs the text."""
FOLIO: Final = "folio.h"
KERNEL_NATIVE: Final = "kernel_native.h"
ENTRY: Final = "foliolab_"
"""The beginning of an entry's name."""
_NOT_C: Final = re.compile(r"##|#\s*pragma\b|\b(asm|__asm|__asm__|__attribute|__attribute__|_Pragma|__builtin_\w+)\b")
MM_ID_OFFSET: Final = next(one.offset for one in structs.MM_FIELDS if one.name == "mm_id")
MM_BEFORE: Final = f"char fl_before[{MM_ID_OFFSET}];"


def engine_constants() -> str:
    """The engine's offsets, bits and sizes as macros."""
    page = {one.name: one.offset for one in structs.PAGE_FIELDS}
    found = {
        **{f"{name.strip('_').upper()}_OFFSET": page[name] for name in ("flags", "mapping", "private", "_refcount")},
        "FLAGS_1_OFFSET": structs.STRUCT_PAGE,
        **{name: getattr(structs, name) for name in ("PG_locked", "PG_head", "PG_swapcache", "PG_anon_exclusive")},
        **{name: getattr(structs, name) for name in ("ORDER_MASK", "MAPPING_ANON", "STRUCT_PAGE")},
        "PACK": calls.PACK,
        "MM_ID_OFFSET": MM_ID_OFFSET,
        "MM_BEFORE": MM_BEFORE,
    }
    return "".join(f"#define FL_{name} {value}\n" for name, value in found.items())


def header(name: str) -> str:
    """One of FolioLab's headers, in place of an #include."""
    return included(f"/{name}", (INCLUDE / name).read_text())


def headers(first: str) -> str:
    """FolioLab's headers for a policy: that which declares what a text may use, and what defines that."""
    return "".join(header(name) for name in (first, COMPILER, NATIVE, FOLIO))


def included(name: str, text: str) -> str:
    """A text in place of an #include: messages of the compiler name the file."""
    return f'#line 1 "{name}"\n{text}\n'


def allowed(name: str, text: str) -> str:
    """A text out of a user's file, if the translator looks at all that the compiler does with it.

    Raises:
        CSourceError: it has assembly, an attribute or the like, or joins parts of names; names file and line.
    """
    for number, line in enumerate(without_comments(text).split("\n"), 1):
        if found := _NOT_C.search(line):
            raise refused(Place(name, number), f"has {found[0]}", "write in C alone what shall be compiled")
        if re.search(r"\w\\\s*$", line):
            raise refused(
                Place(name, number), "goes on in the next line in the middle of a word", "put a space before \\"
            )
    return text


def entry(name: str, statements: Iterable[str]) -> str:
    """The C text of a function that the engine's native table calls."""
    body = "".join(f"\t{one}\n" for one in statements)
    return f"FL_ENTRY({name})\n{{\n{body}}}\n"


def size_of_a_page() -> str:
    """A check of the compiler that struct page is as large as the engine's."""
    return f'#line 1 "/{KERNEL_NATIVE}"\n_Static_assert(sizeof(struct page) == FL_STRUCT_PAGE, "struct page");\n'


def fixed_answers(facts: Mapping[str, int], ignored: Iterable[str], answers: Mapping[str, Mapping[str, int]]) -> str:
    """Macros for the functions that the model fixes, does itself, or intercepts (see `vocabulary.Vocabulary`)."""
    lines = [f"#define {name}(...) ((bool){value})" for name, value in facts.items()]
    lines += [f"#define {name}(...) ((void)0)" for name in sorted(ignored)]
    for name, told in answers.items():
        given = ", ".join(f"a{number}" for number in range(max(told.values()) + 1))
        kept = ", ".join(f"foliolab_told.{variable} = (a{number})" for variable, number in told.items())
        lines.append(f"#define {name}({given}) ((void)({kept}))")
    return "".join(f"{line}\n" for line in lines)


def mm_struct_in_place(text: str) -> str:
    """A file's text with its struct mm_struct as the engine has it: the ID where the engine's is, the rest behind."""
    found = next((one for one in SourceFile(text).definitions if one.name == "mm_struct"), None)
    if found is None:
        return text
    lines = text.split("\n")
    body = re.sub(r"\bmm_id\b", "fl_mm_id", "\n".join(lines[found.first : found.last + 1]))
    before, opening, rest = body.partition("{")
    inside, closing, after = rest.rpartition("}")
    engine = f"union {{ struct {{ {MM_BEFORE} unsigned int mm_id; }}; char fl_engine[{structs.MM_SIZE}]; }};"
    whole = f"{before}{opening} {engine} struct {{{inside}}};{closing}{after}"
    lines[found.first : found.last + 1] = whole.split("\n")
    return "\n".join(lines)

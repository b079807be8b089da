"""The whole unmodified mm/rmap.c of a configured tree, compiled for the engine's native table.

Three objects are linked: the file as kbuild compiles it; the engine's entries, which include the tree's headers and
call what these define and the file exports; and one definition for each name that a kernel would provide. Of these,
the kernel's statistics tell what a hook answers, data is zero, and any other function says its name and ends the
process: no operation of the engine calls it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.csource import ccompiler, translation
from foliolab.framework.csource.compilertext import engine_constants, header
from foliolab.framework.csource.kbuild import KernelBuild
from foliolab.framework.csource.kernel import RMAP
from foliolab.framework.csource.tree import Tree
from foliolab.framework.csource.undefined import undefined
from foliolab.framework.engine.structs import STRUCT_PAGE
from foliolab.framework.errors import CSourceError
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.machine import cache
from foliolab.framework.machine.layout import CTYPES

FIRST: Final = "whole.h"
FOLIO: Final = "whole_folio.h"
STEPS: Final = "whole_explored.h"
OTHERS: Final = "whole_others.h"
_FUNCTION: Final = re.compile(r"^FL_INLINE \w+ (\w+)\(", re.MULTILINE)
_LEFT_ALONE: Final = re.compile(r"\b(?:READ_ONCE|WRITE_ONCE|smp_load_acquire|smp_store_release|cmpxchg|xchg)\b")
"""The kernel's primitives that are plain accesses of the compiler's, or that structs are handed to."""
FLAGS: Final = (
    "-w", "-fPIC", "-ftls-model=initial-exec", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
    "-ftrivial-auto-var-init=uninitialized",
)  # fmt: skip
"""What a shared object asks for, behind kbuild's own words."""
OTHERS_FLAGS: Final = ("-O2", "-fPIC", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-w", "-nostdinc")
LINK: Final = ("-shared", "-nostdlib", "-Wl,-z,defs", "-Wl,--build-id=none", "-Wl,-z,noexecstack")
STATISTICS: Final = frozenset(
    {"lruvec_stat_mod_folio", "__lruvec_stat_mod_folio", "mod_node_page_state", "__mod_node_page_state"}
)
"""The functions that count what the kernel has mapped: (where, item, delta)."""
PARTIALLY: Final = frozenset({"deferred_split_folio"})
OWN: Final = frozenset({"memset", "memcpy", "_GLOBAL_OFFSET_TABLE_"})
"""What whole_others.h, or the linker, defines."""
CODE: Final = ("-m", "-f", "-O", "-std", "-w", "-tsan")
"""The beginnings of the words that a preprocessed text is compiled with."""
BESIDE: Final = ("mm", "fs/proc")
HINT: Final = "build=none compiles extracted functions"


@dataclass(frozen=True)
class WholeFile:
    """A compiled mm/rmap.c.

    Args:
        data: the shared object.
        file: the C file.
        lines: that it has.
        build: how it is configured.
    """

    data: bytes
    file: Path
    lines: int
    build: KernelBuild

    def __str__(self) -> str:
        return f"{RMAP} whole, {self.lines:,} lines, as configured in {self.build.folder}"


def whole_file(scheme: Scheme, tree: Tree, steps: str = "", more: Sequence[str] = ()) -> WholeFile | None:
    """The whole mm/rmap.c of a tree, compiled now or before; None where the tree is not configured.

    Args:
        scheme: the tree's policy.
        steps: a header whose primitives take the place of the kernel's; then the file and the entries are one unit.
        more: options of the compiler.

    Raises:
        CSourceError: the build that is named is none, or contradicts the options; or the compiler refuses a file.
    """
    build = tree.build()
    if build is None:
        return None
    names = {name: Path(place) for name, place in tree.names().items()}
    words = [*_own_headers(tree, names), *build.words(), *FLAGS, *more]
    own = _in_place_of_the_kernels(steps) if steps else ""
    first = engine_constants() + header(FIRST) + own + header(FOLIO)
    file = f'#include "{names[RMAP]}"\n'
    entries = translation.whole_entries(tree) + _places(scheme)
    units = [first + file + entries] if steps else [first + file, first + entries]
    what = f"{RMAP} of {tree.name}"
    data = _linked([_object(words, one, what) for one in units], what)
    return WholeFile(data, names[RMAP], len(names[RMAP].read_bytes().splitlines()), build)


def _in_place_of_the_kernels(steps: str) -> str:
    """A header whose functions have the kernel's names, such that what follows calls them."""
    own = _LEFT_ALONE.sub(r"fl_step_\g<0>", steps)
    names = "".join(f"#undef {name}\n#define {name} fl_step_{name}\n" for name in _FUNCTION.findall(own))
    return f"{header(STEPS)}{names}{own}"


def _own_headers(tree: Tree, names: dict[str, Path]) -> list[str]:
    """Where headers with a patch are found first; what they include of the folder beside them is the tree's."""
    root = names[RMAP].parents[1]
    if root == Path(tree.path):
        return []
    return [f"-I{root / 'include'}", *(word for one in BESIDE for word in ("-iquote", f"{Path(tree.path) / one}"))]


def _places(scheme: Scheme) -> str:
    """A check of the compiler for each field: that the configuration has it where the translation has."""
    return "".join(
        f"FL_PLACE({per}, {one.name}, {one.at(STRUCT_PAGE).offset}, {CTYPES[one.ctype].bytes * one.count});\n"
        for per in ("page", "folio")
        for one in scheme.stored(per)
    )


def _object(words: Sequence[str], text: str, what: str) -> bytes:
    """An object file, built now or before from the same text with all that it includes."""
    whole = ccompiler.built((*words, "-E", "-x", "c", "-"), text, what, CSourceError, HINT)
    kept = [word for word in words if word.startswith(CODE)]
    key = sha256(b"\0".join((repr((ccompiler.version(), kept)).encode(), whole))).hexdigest()
    made = cache.read(key)
    if made is None:
        made = ccompiler.built(
            (*kept, "-c", "-x", "cpp-output", "-"), whole.decode(errors="replace"), what, CSourceError, HINT
        )
        cache.write(key, made)
    return made


def _linked(objects: Sequence[bytes], what: str) -> bytes:
    """The shared object, with all that the objects leave to others."""
    left = undefined(objects)
    text = header(OTHERS) + "".join(
        f"{_definition(name, called)}({name})\n" for name, called in left.items() if name not in OWN
    )
    with scratch() as folder:
        files = [folder / f"{number}.o" for number in range(len(objects))]
        for file, data in zip(files, objects, strict=True):
            file.write_bytes(data)
        return ccompiler.built((*OTHERS_FLAGS, *LINK, *map(str, files), "-x", "c", "-"), text, what, CSourceError, HINT)


def _definition(name: str, is_called: bool) -> str:
    """The macro that defines a name of the kernel's."""
    if name in STATISTICS:
        return "FL_STATISTIC"
    if name in PARTIALLY:
        return "FL_PARTIALLY"
    return "FL_MISSING" if is_called else "FL_DATA"

"""The C references: builds reference.c or replay.c for a scheme, and runs their entry points on an engine's memory.

Offsets, sizes and constants reach C through a header that is generated here from `Engine.layouts` and from the
engine's modules, so nothing is typed twice and a changed layout cannot go unnoticed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import entrypoints, fault, folio, fork, pagetable, structs
from foliolab.framework.engine.engine import Engine
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import layouts_of
from foliolab.framework.machine import primitives
from foliolab.framework.machine.layout import CTYPES, Field, Layouts, Struct
from foliolab.framework.replay import cells, owners, spaces
from foliolab.framework.trace import events
from foliolab.policies import mm_id, no_page_mapcount, page_mapcount

SOURCE: Final = Path(__file__).with_name("reference.c")
REPLAY: Final = Path(__file__).with_name("replay.c")
SCHEMES: Final = {m.POLICY.name: m.POLICY.with_parameters() for m in (page_mapcount, mm_id, no_page_mapcount)}
"""The schemes that reference.c has, with the parameters that it has them for."""

ENTRIES: Final = (
    entrypoints.populate,
    entrypoints.fork_range,
    entrypoints.zap_range,
    entrypoints.split_range,
    entrypoints.write_range,
)
"""The entry points of the engine that reference.c has."""

_MODULES: Final = (structs, pagetable, folio, fork, fault, primitives, page_mapcount, mm_id)
# as the kernel is built: memory is reinterpreted as one struct or another, and signed counters may wrap
_LANGUAGE: Final = ("-std=gnu11", "-fno-strict-aliasing", "-fwrapv", "-fvisibility=hidden", "-Wall", "-Wextra")
PLAIN: Final = ("-O2",)
TUNED: Final = ("-O3", "-march=native")

Kernel = Callable[..., int]


def missing() -> str:
    """Why the reference cannot be built here, as a sentence; empty where it can."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        return f"reference.c is written for x86-64, this is {platform.machine()}"
    if compiler() is None:
        return "the C reference needs a C compiler: install gcc (apt-get install gcc), or set CC"
    return ""


def compiler() -> str | None:
    """The C compiler: $CC, or gcc, or cc."""
    names = [os.environ.get("CC", ""), "gcc", "cc"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


def header(scheme: Scheme) -> str:
    """The text of layout.h: the scheme's structs, the initial values of its fields, the engine's constants."""
    layouts = layouts_of(scheme)
    name = scheme.policy.name.upper().replace("-", "_")
    lines = [f"#define SCHEME_{name}", *_constants(_MODULES), *_constants_of_replay()]
    for struct in layouts:
        if struct.name != "pte":
            lines += _struct(struct)
    return "\n".join([*lines, *_initial_values(layouts), ""])


def _constants(modules: tuple[ModuleType, ...]) -> list[str]:
    found: dict[str, int] = {}
    for module in modules:
        for name, value in vars(module).items():
            public = name.startswith(("PG_", "MMF_")) or (name.isupper() and not name.startswith("_"))
            if public and type(value) is int and found.setdefault(name, value) != value:
                raise ValueError(f"two modules disagree on {name}: {found[name]} and {value}")
    return [f"#define {name} {value}{'ll' if value >= 1 << 31 else ''}" for name, value in found.items()]


def _constants_of_replay() -> Iterator[str]:
    """The constants of the replay, under the prefixes that replay.c names."""
    modules: dict[str, ModuleType] = {"C": cells, "O": owners, "EV": events}
    for prefix, module in modules.items():
        for name, value in vars(module).items():
            if name.isupper() and type(value) is int:
                yield f"#define {prefix}_{name} {value}{'ll' if value >= 1 << 31 else ''}"
    yield from _constants((spaces,))
    yield f"#define NR_KERNEL {len(cells.KERNEL)}"
    yield f"#define NR_POLICY {len(cells.POLICY)}"
    yield f"#define NR_KINDS {cells.ENDS[1]}"
    yield f"#define NR_HOW {cells.ENDS[2]}"
    yield f"#define NR_LENGTHS {cells.LENGTHS[2]}"


def _c_type(field: Field) -> str:
    kind = CTYPES[field.ctype]
    unsigned = field.ctype.startswith("u")  # a u64 is signed only as a Python value
    return f"{'u' if unsigned else ''}int{kind.bits}_t"


def _struct(struct: Struct) -> Iterator[str]:
    """A union of fields, each behind its own padding: offsets are the layout's, overlaps are allowed."""
    yield f"struct {struct.name} {{ union {{"
    yield f"  uint8_t bytes_[{struct.size}];"
    for field in struct.fields:
        count = f"[{field.count}]" if field.count > 1 else ""
        padding = f"uint8_t to_{field.name}_[{field.offset}]; " if field.offset else ""
        yield f"  struct {{ {padding}{_c_type(field)} {field.name}{count}; }};"
    yield "}; };"
    yield f'_Static_assert(sizeof(struct {struct.name}) == {struct.size}, "size");'
    for field in struct.fields:
        place = f"__builtin_offsetof(struct {struct.name}, {field.name})"
        yield f'_Static_assert({place} == {field.offset}, "{field.name}");'


def _initial_values(layouts: Layouts) -> Iterator[str]:
    """What a fresh large folio starts with, by struct page: the first ones always exist."""
    stride = layouts["page"].size
    wanted = [f for f in layouts["folio"].fields if f.init is not None]
    yield "static inline __attribute__((always_inline))"
    yield "void init_folio_fields(struct folio *folio, uint64_t nr_pages) {"
    for page in sorted({f.offset // stride for f in wanted}):
        mine = [f for f in wanted if f.offset // stride == page]
        yield f"  if (nr_pages >= {-(-max(f.end for f in mine) // stride)}) {{"
        for field in mine:
            for i in range(field.count):
                element = f"[{i}]" if field.count > 1 else ""
                yield f"    folio->{field.name}{element} = {field.init};"
        yield "  }"
    yield "}"


class Reference:
    """reference.c, built for one scheme.

    Args:
        scheme: one of SCHEMES.
        options: of the compiler.
        source: the text to build.

    Raises:
        RuntimeError: no compiler, or it refuses the text.
    """

    def __init__(self, scheme: Scheme, options: tuple[str, ...] = PLAIN, source: Path = SOURCE) -> None:
        if reason := missing():
            raise RuntimeError(reason)
        self.scheme = scheme
        self.options = options
        self.source = source
        with tempfile.TemporaryDirectory(prefix="foliolab-reference-") as folder:
            self._library = ctypes.CDLL(self._compile(Path(folder), "-shared", "-fPIC", "-o", "reference.so"))

    def assembly(self) -> str:
        """What the compiler made of it, as text."""
        with tempfile.TemporaryDirectory(prefix="foliolab-reference-") as folder:
            made = self._compile(Path(folder), "-S", "-fPIC", "-fno-asynchronous-unwind-tables", "-o", "reference.s")
            return Path(made).read_text()

    def _compile(self, folder: Path, *how: str) -> str:
        (folder / "layout.h").write_text(header(self.scheme))
        command = [str(compiler()), *_LANGUAGE, *self.options, f"-I{folder}", *how, str(self.source)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode or done.stderr:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
        return str(folder / how[-1])

    def kernel(self, engine: Engine, entry: Callable[..., Any]) -> Kernel:
        """The C form of an entry point on an engine's memory, called like `Engine.entry_point`'s."""
        kinds = entrypoints.ENTRY_POINTS.get(entry, "mmiii")  # else it is the replay's loop
        run = self._library[entry.__name__]
        run.restype = ctypes.c_int64
        run.argtypes = [ctypes.c_void_p if k == "m" else ctypes.c_int64 for k in kinds]
        memories = (engine.vm.addr, engine.contents.addr)[: kinds.count("m")]
        return lambda *numbers: int(run(*memories, *numbers))


class ReferenceMachine(Machine):
    """A machine whose measured entry points run in C, and all others natively."""

    reference: Reference

    def entry_point(self, entry: Callable[..., Any], kinds: str | None = None) -> Callable[..., Any]:
        """The C form of an entry point where there is one."""
        if entry in ENTRIES:
            return self.reference.kernel(self, entry)
        return super().entry_point(entry, kinds)


if __name__ == "__main__":
    print("\n".join(header(SCHEMES[name]) for name in sys.argv[1:] or SCHEMES))

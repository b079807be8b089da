"""A configured kernel tree: its generated headers, its configuration, and how kbuild compiles mm/rmap.c.

The headers lie in the tree, or in the folder that `make O=FOLDER` wrote. kbuild leaves a record of each command
(`mm/.rmap.o.cmd`). Of its words those are kept that say what the text means; what makes it a part of a kernel, or
watches it there, is left out.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework import intake
from foliolab.framework.csource import ccompiler
from foliolab.framework.csource.kernel import RMAP, Configuration
from foliolab.framework.errors import CSourceError

RECORD: Final = "mm/.rmap.o.cmd"
AUTOCONF: Final = "include/generated/autoconf.h"
GENERATED: Final = (AUTOCONF, "include/generated/bounds.h", "arch/x86/include/generated/asm")
"""What `make prepare` leaves, without which no file of the kernel can be compiled."""
LARGEST: Final = 4 << 20
NEEDED: Final = ("X86_64", "SMP", "MMU", "TRANSPARENT_HUGEPAGE", "SPARSEMEM_VMEMMAP")
"""The options that a configuration must have: those of the model, and what its struct pages and locks ask for."""
HINT: Final = "`make prepare` in the tree, or with O=FOLDER, makes the headers; build=none compiles extracted functions"
_DEFINED: Final = re.compile(r"^#define CONFIG_(\w+) 1$", re.MULTILINE)
_COMMAND: Final = re.compile(r"^(?:saved)?cmd_mm/rmap\.o := (.+?)(?: ;.*)?$", re.MULTILINE)
_SOURCE: Final = re.compile(r"^source_mm/rmap\.o := (.+)$", re.MULTILINE)
_KEPT: Final = re.compile(r"-(?:[DU]\w.*|nostdinc|std=[\w+]+|O[0-3s]|m[\w-]+(?:=[\w-]+)?|f[\w-]+(?:=[\w,-]+)?)")
_LEFT_OUT: Final = re.compile(
    r"-(?:mcmodel|mindirect|mfunction-return|mharden|mstack-protector|mrecord|mfentry|mnop|mno-fentry"
    r"|fno-PIE|fno-pie|fPIE|fpie|fpatchable|fsanitize|fno-sanitize|fstack-protector|fplugin|fprofile|fdump|flto|fno-lto"
    r"|fsplit|fstack-usage|fcallgraph|fopt-info|finstrument|fuse|mpreferred-stack-boundary|mstack-alignment)"
)
"""Words that place code in a kernel, that a kernel patches at its boot, or that call what only a kernel has."""
_LIKE_KBUILD: Final = (
    "-nostdinc", "-D__KERNEL__", "-DCC_USING_FENTRY", "-std=gnu11", "-O2", "-m64", "-mno-sse", "-mno-mmx", "-mno-sse2",
    "-mno-avx", "-mno-80387", "-mno-red-zone", "-fms-extensions", "-fshort-wchar",
    "-funsigned-char", "-fno-common", "-fno-strict-aliasing", "-fno-strict-overflow",
    "-fno-delete-null-pointer-checks", '-DKBUILD_MODFILE="mm/rmap"', '-DKBUILD_BASENAME="rmap"',
    '-DKBUILD_MODNAME="rmap"', "-D__KBUILD_MODNAME=rmap",
)  # fmt: skip
"""The words where there is no record, as after `make prepare` alone; both gcc and clang know them."""
_HEADERS: Final = ("arch/x86/include", "include", "arch/x86/include/uapi", "include/uapi")
_GENERATED_HEADERS: Final = (
    "arch/x86/include/generated", "include", "arch/x86/include/generated/uapi", "include/generated/uapi",
)  # fmt: skip
_INCLUDED: Final = ("compiler-version.h", "kconfig.h", "compiler_types.h")


@dataclass(frozen=True)
class KernelBuild:
    """What kbuild made for a tree.

    Args:
        folder: where it did: the tree itself, or the folder of `make O=FOLDER`.
        tree: the tree's folder.
    """

    folder: Path
    tree: Path

    @property
    def is_there(self) -> bool:
        """Whether the folder has the generated headers."""
        return all((self.folder / one).exists() for one in GENERATED)

    def check(self) -> None:
        """Check that files of the tree can be compiled with it.

        Raises:
            CSourceError: it lacks a generated header or an option, or it is a build of another tree.
        """
        if missing := [one for one in GENERATED if not (self.folder / one).exists()]:
            raise CSourceError(f"{self.folder} is no build of a kernel: it has no {missing[0]}", HINT)
        if missing := [one for one in NEEDED if one not in self.options]:
            raise CSourceError(
                f"{self.folder} is configured without CONFIG_{missing[0]}, which the model has",
                "configure the tree with it; build=none compiles extracted functions",
            )
        source = self.source()
        if source is not None and not _same(source, self.tree / RMAP):
            raise CSourceError(f"{self.folder} is a build of another tree: it compiles {source}", HINT)

    @property
    def options(self) -> frozenset[str]:
        """The options that are set to y, without CONFIG_."""
        return frozenset(_DEFINED.findall(self._read(AUTOCONF)))

    @property
    def given(self) -> dict[str, bool]:
        """The options that decide about the counters."""
        return {name: name in self.options for name in ("MM_ID", "NO_PAGE_MAPCOUNT")}

    @property
    def configuration(self) -> Configuration:
        """These options, as compiled."""
        return Configuration(self.given["MM_ID"], not self.given["NO_PAGE_MAPCOUNT"])

    def source(self) -> Path | None:
        """The file that the build compiles, or the one that it would; None where nothing says so."""
        found = _SOURCE.search(self._read(RECORD)) if (self.folder / RECORD).is_file() else None
        if found:
            return self.folder / found[1].strip()
        link = self.folder / "source"  # what `make O=FOLDER` leaves there
        return link / RMAP if link.exists() else None

    def words(self) -> list[str]:
        """The compiler's options, all paths absolute: those of kbuild's record, or such as it writes.

        A record is of gcc or of clang, and says nothing to the other.
        """
        record = _COMMAND.search(self._read(RECORD)) if (self.folder / RECORD).is_file() else None
        if record is not None and ("CC_IS_CLANG" in self.options) == ccompiler.is_clang():
            return list(self._of_record(shlex.split(record[1])[1:]))
        places = [f"-I{self.folder / one}" for one in _GENERATED_HEADERS]
        own = [f"-I{self.tree / one}" for one in _HEADERS]
        both = [one for pair in zip(own, places, strict=True) for one in pair]
        first = [word for one in _INCLUDED for word in ("-include", str(self.tree / "include/linux" / one))]
        return [*both, f"-I{self.tree / 'mm'}", *first, *_LIKE_KBUILD]

    def _of_record(self, words: list[str]) -> Iterator[str]:
        follows = iter(words)
        for word in follows:
            if word == "-include":
                yield from (word, self._absolute(next(follows, "")))
            elif word.startswith("-I") and len(word) > 2:
                yield f"-I{self._absolute(word[2:])}"
            elif _KEPT.fullmatch(word) and not _LEFT_OUT.match(word):
                yield word

    def _absolute(self, path: str) -> str:
        return os.path.normpath(self.folder / path)

    def _read(self, name: str) -> str:
        return intake.read(self.folder / name, "file of a kernel's build", HINT, LARGEST, CSourceError).decode(
            errors="replace"
        )


def _same(one: Path, two: Path) -> bool:
    try:
        return one.samefile(two)
    except OSError:
        return False

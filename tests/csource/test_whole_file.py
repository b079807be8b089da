"""The whole mm/rmap.c of a configured tree as compiled C: on a tree of our own text, and on builds at hand."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("clang.cindex", reason="libclang is missing")

sys.path.insert(0, str(Path(__file__).parent))
from compiled_benchmark import benchmark
from configured_tree import configured
from explored_twice import states_of_both

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.csource import ccompiler, compiled, kbuild
from foliolab.framework.csource.compiled import CompiledEntries
from foliolab.framework.csource.kbuild import KernelBuild
from foliolab.framework.csource.tree import Tree
from foliolab.framework.csource.undefined import undefined
from foliolab.framework.engine.engine import native_missing
from foliolab.framework.errors import CSourceError, FolioLabError, UsageError
from foliolab.framework.plugins.registry import load
from foliolab.framework.testing import alike
from foliolab.framework.testing.checks import COMPILED, checks_for
from foliolab.framework.testing.subject import Subject
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.explored.compiled_attack import CompiledExplored
from foliolab.framework.verify.explored.programs import programs

OPERATIONS = 20_000
runs = pytest.mark.skipif(
    bool(compiled.missing() or native_missing()), reason=compiled.missing() or native_missing() or "it runs"
)


def scheme_of(text: str) -> Scheme:
    return load().policy(text, typed=True)


# -- the same bytes ------------------------------------------------------------------------------------
@runs
def test_the_whole_file_leaves_the_bytes_of_the_translation(tmp_path: Path) -> None:
    tree = configured(tmp_path)
    scheme = scheme_of(f"tree:{tree}")
    entries = CompiledEntries(scheme)
    lines = len((tree / "mm/rmap.c").read_text().splitlines())
    assert entries.unit == f"mm/rmap.c whole, {lines} lines, as configured in {tree}; extracted: can_reuse"
    assert CompiledEntries(scheme, whole=False).unit == compiled.EXTRACTED
    assert alike.difference(scheme, steps=20, connect=entries.connect, other="as compiled C") == ""
    found, done = alike.walked_difference(scheme, entries.connect, OPERATIONS)
    assert found == "" and done >= OPERATIONS


@runs
def test_a_build_outside_of_the_tree_says_how_it_is_configured(tmp_path: Path) -> None:
    tree = configured(tmp_path, ("MM_ID", "NO_PAGE_MAPCOUNT"), tmp_path / "out")
    scheme = scheme_of(f"tree:{tree}:build={tmp_path / 'out'}")
    assert "average-mapcount" in scheme.capabilities
    whole, unit = compiled.whole_of(scheme)
    assert whole is not None and unit == f"mm/rmap.c whole, {whole.lines} lines, as configured in {tmp_path / 'out'}"


@runs
def test_what_only_the_whole_file_has_is_compiled(tmp_path: Path) -> None:
    """A difference of the exported function, which the extraction does not take, is told."""
    tree = configured(tmp_path)
    text = (tree / "mm/rmap.c").read_text()
    old = "\t__folio_remove_rmap(folio, page, nr_pages, vma, RMAP_LEVEL_PTE);"
    assert text.count(old) == 1
    (tree / "mm/rmap.c").write_text(text.replace(old, f"{old}\n\tfolio->_owner_flags |= 8;"))
    scheme = scheme_of(f"tree:{tree}")
    assert "of struct page" in alike.walked_difference(scheme, CompiledEntries(scheme).connect, 500)[0]


@runs
def test_interleavings_of_the_whole_file_are_explored(tmp_path: Path) -> None:
    """Of forks, too, which ask for flags of the MM that the entry makes."""
    scheme = scheme_of(f"tree:{configured(tmp_path)}:build={tmp_path / 'linux'}")
    program = next(
        one for one in programs(scheme) if {"fork", "exit"} <= {each.name for own in one.threads for each in own}
    )
    translated, of_c = states_of_both(scheme, program)
    assert 0.3 < of_c / translated < 3.0


@runs
def test_a_race_of_the_whole_file_alone_is_found(tmp_path: Path) -> None:
    """The exported function stores what it has loaded before: one after the other nothing is different."""
    tree = configured(tmp_path)
    text = (tree / "mm/rmap.c").read_text()
    old = "\t__folio_add_file_rmap(folio, page, nr_pages, vma, RMAP_LEVEL_PTE);"
    assert text.count(old) == 1
    late = "*(volatile unsigned long *)&folio->_owner_flags = folio->_owner_flags;"
    (tree / "mm/rmap.c").write_text(text.replace(old, f"{old}\n\t{late}"))
    attack = CompiledExplored()
    attack.run(scheme_of(f"tree:{tree}"), Budget(10_000.0, 64 << 20), lambda news: None)  # the first violation ends it
    assert "in an interleaving of: map_file" in attack.broken[0]


@runs
def test_a_patch_of_a_header_is_compiled(tmp_path: Path) -> None:
    tree = configured(tmp_path)
    patch = tmp_path / "one.patch"
    patch.write_text(
        "--- a/include/linux/rmap.h\n+++ b/include/linux/rmap.h\n@@ -8,3 +8,3 @@\n \n"
        "-#define ENTIRELY_MAPPED\t\t0x800000\n+#define ENTIRELY_MAPPED\t\t0x7a5b3c\n"
        " #define NR_PAGES_MASK\t\t(ENTIRELY_MAPPED - 1)\n"
    )
    scheme = scheme_of(f"tree:{tree}:patch={patch}")
    assert (whole := compiled.whole_of(scheme)[0]) is not None
    assert (0x7A5B3C).to_bytes(4, "little") in whole.data


@runs
@pytest.mark.slow
def test_a_function_of_the_kernel_that_is_missing_says_its_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tree = configured(tmp_path)
    file = tree / "include/linux/folio.h"
    text = file.read_text()
    assert text.count("\tif (vma->vm_flags & VM_LOCKED)\n") == 1
    file.write_text(text.replace("\tif (vma->vm_flags & VM_LOCKED)\n", ""))
    scheme = scheme_of(f"tree:{tree}")
    check = next(one for one in checks_for(scheme) if one.name == COMPILED)
    found = check.run(Subject(scheme, 1.0))
    assert found.verdict == "failed" and "compiled C crashed" in found.text
    assert "the compiled mm/rmap.c called mlock_folio" in capfd.readouterr().err


# -- builds at hand -------------------------------------------------------------------------------------
BUILDS = [Path(one) for one in os.environ.get("FOLIOLAB_BUILDS", "").split(os.pathsep) if one]
"""Folders of `make O=FOLDER`, or configured trees."""
MANY = 100_000


@runs
@pytest.mark.slow
@pytest.mark.skipif(not BUILDS, reason="FOLIOLAB_BUILDS names no build of a kernel")
@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_the_whole_file_of_a_kernel_leaves_the_bytes_of_every_other_form(build: Path) -> None:
    """Interpreted, translated, extracted, whole, and written by hand."""
    link = build / "source"
    tree = link.resolve() if link.exists() else build
    registry, forms = load(), benchmark()
    scheme = registry.policy(f"tree:{tree}:build={build}", typed=True)
    made = forms.forms_of(scheme)
    assert set(made) == {"extracted C", "whole mm/rmap.c"}
    entries, shipped = made["whole mm/rmap.c"], forms.by_hand(registry, scheme)
    assert shipped is not None
    assert alike.difference(scheme, steps=20, connect=entries.connect, other="as compiled C") == ""
    lines = [*forms.compared(scheme, made.values(), shipped, MANY, 1)]
    assert lines and all("operations alike" in line and line.endswith("by hand: all bytes") for line in lines)


# -- what is refused -----------------------------------------------------------------------------------
def test_a_build_that_is_configured_otherwise_is_refused(tmp_path: Path) -> None:
    tree = configured(tmp_path, build=tmp_path / "out")
    written = f"tree:{tree}:MM_ID=y,NO_PAGE_MAPCOUNT=y,build={tmp_path / 'out'}"
    with pytest.raises(FolioLabError, match=r"out is configured otherwise: MM_ID=y, not MM_ID=y,NO_PAGE_MAPCOUNT=y"):
        scheme_of(written)
    assert Tree.parse(f"tree:{tree}:build={tmp_path / 'out'}").build() == KernelBuild(tmp_path / "out", tree)


def test_a_build_without_what_the_model_has_is_refused(tmp_path: Path) -> None:
    tree = configured(tmp_path, build=tmp_path / "out")
    build = KernelBuild(tmp_path / "out", tree)
    file = tmp_path / "out" / kbuild.AUTOCONF
    text = file.read_text()
    file.write_text(text.replace("#define CONFIG_SMP 1\n", ""))
    with pytest.raises(CSourceError, match="out is configured without CONFIG_SMP"):
        build.check()
    file.unlink()
    with pytest.raises(CSourceError, match=r"out is no build of a kernel: it has no include/generated/autoconf\.h"):
        build.check()


def test_a_build_of_another_tree_is_refused(tmp_path: Path) -> None:
    configured(tmp_path, build=tmp_path / "out")
    other = configured(tmp_path / "other")
    with pytest.raises(CSourceError, match=r"out is a build of another tree: it compiles .*/mm/rmap\.c"):
        KernelBuild(tmp_path / "out", other).check()


def test_a_revision_has_no_build(tmp_path: Path) -> None:
    tree = Tree(str(tmp_path), "v6.14", (("build", str(tmp_path)),))
    with pytest.raises(CSourceError, match="not of a revision"):
        tree.build()
    with pytest.raises(UsageError, match="build= is no option"):
        Tree.parse(f"tree:{tmp_path}:build=")
    with pytest.raises(UsageError, match="there is no folder nowhere"):
        Tree.parse(f"tree:{tmp_path}:build=nowhere")


@runs
def test_a_tree_that_is_configured_unfit_is_extracted_and_says_why(tmp_path: Path) -> None:
    tree = configured(tmp_path)
    file = tree / kbuild.AUTOCONF
    file.write_text(file.read_text().replace("#define CONFIG_SMP 1\n", ""))
    whole, unit = compiled.whole_of(scheme_of(f"tree:{tree}"))
    assert (
        whole is None and unit == f"extracted functions ({tree} is configured without CONFIG_SMP, which the model has)"
    )
    assert compiled.whole_of(scheme_of(f"tree:{tree}:build=none")) == (None, compiled.EXTRACTED)


@runs
def test_a_field_at_another_place_is_refused_with_its_name(tmp_path: Path) -> None:
    """The real configuration has an option that the translation does not know."""
    tree = configured(tmp_path, ("MM_ID", "PAGE_MAPCOUNT", "MORE"))
    file = tree / "include/linux/mm_types.h"
    text = file.read_text()
    file.write_text(
        text.replace(
            "\t\t\tint _owner_mapcount;", "#ifdef CONFIG_MORE\n\t\t\tint more;\n#endif\n\t\t\tint _owner_mapcount;"
        )
    )
    _, unit = compiled.whole_of(scheme_of(f"tree:{tree}"))
    assert "_owner_mapcount of struct folio lies elsewhere than in the translation" in unit


# -- kbuild's record -----------------------------------------------------------------------------------
RECORDED = (
    "savedcmd_mm/rmap.o := gcc-12 -Wp,-MMD,mm/.rmap.o.d -nostdinc -I{tree}/include -I./include -include {tree}/a.h "
    "-D__KERNEL__ -fmacro-prefix-map={tree}/= -std=gnu11 -mcmodel=kernel -fno-PIE -mno-sse -march=x86-64 "
    "-mindirect-branch=thunk-extern -fpatchable-function-entry=16,16 -fplugin=./evil.so -O2 -fstack-protector-strong "
    "-pg -mrecord-mcount -mfentry -DCC_USING_FENTRY -Wall -g -fsanitize=bounds-strict -wrapper evil @evil "
    "-DKBUILD_BASENAME='\"rmap\"' -c -o mm/rmap.o {tree}/mm/rmap.c ; ./tools/objtool/objtool mm/rmap.o\n\n"
    "source_mm/rmap.o := {tree}/mm/rmap.c\n"
)


def test_words_of_the_record_that_say_what_the_text_means_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ccompiler, "is_clang", lambda: False)
    tree = configured(tmp_path, build=tmp_path / "out")
    (tmp_path / "out/mm").mkdir()
    (tmp_path / "out" / kbuild.RECORD).write_text(RECORDED.format(tree=tree))
    build = KernelBuild(tmp_path / "out", tree)
    build.check()
    assert build.words() == [
        "-nostdinc", f"-I{tree}/include", f"-I{tmp_path}/out/include", "-include", f"{tree}/a.h", "-D__KERNEL__",
        "-std=gnu11", "-mno-sse", "-march=x86-64", "-O2", "-DCC_USING_FENTRY", '-DKBUILD_BASENAME="rmap"',
    ]  # fmt: skip
    monkeypatch.setattr(ccompiler, "is_clang", lambda: True)
    assert "-march=x86-64" not in build.words() and f"-I{tree}/mm" in build.words()


@pytest.mark.skipif(not ccompiler.compiler(), reason=compiled.missing() or "there is one")
def test_undefined_names_are_those_of_no_object() -> None:
    text = "extern int data; void called(void); int own(void) { called(); return data; }"
    other = "int own(void); int main(void) { return own(); }"
    objects = [
        ccompiler.built(("-c", "-fPIC", "-x", "c", "-"), one, "a test", CSourceError, "") for one in (text, other)
    ]
    found = undefined(objects)
    assert {name: found[name] for name in ("called", "data")} == {"called": True, "data": False}
    assert "own" not in found and not any(re.fullmatch(r"main|own", name) for name in found)
    with pytest.raises(CSourceError, match="no object file"):
        undefined([b"\x7fELF\x01"])

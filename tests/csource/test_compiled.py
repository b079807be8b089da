"""C text as the system's compiler makes it: the same bytes as its translation, and nothing else of a file can run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("clang.cindex", reason="libclang is missing")

sys.path.insert(0, str(Path(__file__).parent))
from explored_twice import states_of_both

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.csource import ccompiler, compiled, onefile, translation
from foliolab.framework.csource.compiled import CompiledEntries
from foliolab.framework.csource.compilertext import allowed, mm_struct_in_place
from foliolab.framework.csource.tree import Tree
from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import CSourceError
from foliolab.framework.machine import cache
from foliolab.framework.plugins.registry import load
from foliolab.framework.testing import alike
from foliolab.framework.testing.checks import COMPILED, Outcome, checks_for
from foliolab.framework.testing.subject import Subject
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.explored.compiled_attack import CompiledExplored
from foliolab.framework.verify.explored.programs import programs
from foliolab.policies import mm_id

TREE = Path(__file__).with_name("tree")
SOURCE = Path(__file__).with_name("owner_slot.c")
TEXT = SOURCE.read_text()
OPERATIONS = 30_000
"""Operations that each text does natively and as compiled C: more than 100,000 for all together."""
HIDDEN = "\tconst unsigned int id = mm->mm_id;\n"

needs_compiler = pytest.mark.skipif(not ccompiler.compiler(), reason=compiled.missing() or "there is one")
needs_native = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works")


only_gcc = pytest.mark.skipif(ccompiler.is_clang(), reason="the compiler sees what the translator does")


def scheme_of(text: str) -> Scheme:
    return load().policy(text, typed=True)


def changed(folder: Path, old: str, new: str) -> Scheme:
    """The policy in the C file, with one text changed."""
    assert TEXT.count(old) == 1
    file = folder / "owner_slot.c"
    file.write_text(TEXT.replace(old, new))
    return scheme_of(str(file))


def outcome(scheme: Scheme) -> Outcome:
    """The outcome of the check `compiled` for a policy."""
    return next(one for one in checks_for(scheme) if one.name == COMPILED).run(Subject(scheme, 1.0))


@pytest.fixture
def other_text(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is replaced in the text that the compiler gets, as if it meant something else there."""
    put: dict[str, str] = {}
    made = translation.compiler_text

    def replaced(source: Path | Tree) -> tuple[str, str]:
        text, translated = made(source)
        for old, new in put.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        return text, translated

    monkeypatch.setattr(translation, "compiler_text", replaced)
    return put


# -- the same bytes ------------------------------------------------------------------------------------
TEXTS = [str(SOURCE), *(f"tree:{TREE}:{options}" for options in ("MM_ID=y", "MM_ID=y,NO_PAGE_MAPCOUNT=y", "MM_ID=n"))]


@needs_compiler
@needs_native
@pytest.mark.parametrize("text", TEXTS, ids=["one file", "mm-id", "no page mapcounts", "no mm-id"])
def test_compiled_c_leaves_the_bytes_of_its_translation(text: str) -> None:
    scheme = scheme_of(text)
    entries = CompiledEntries(scheme)
    assert alike.difference(scheme, steps=40, connect=entries.connect, other="as compiled C") == ""
    found, done = alike.walked_difference(scheme, entries.connect, OPERATIONS)
    assert found == "" and done >= OPERATIONS


@needs_compiler
@needs_native
def test_the_check_says_what_was_done() -> None:
    found = outcome(scheme_of(str(SOURCE)))
    assert found.verdict == "passed", found.text
    assert "100,000 more; explored as compiled: " in found.text


@needs_compiler
@needs_native
def test_every_function_of_the_text_is_an_entry() -> None:
    found = {calls.ENTRIES[number].__name__ for number in CompiledEntries(scheme_of(TEXTS[0])).addresses}
    assert found == {
        "new_anon", "add_ptes", "dup_file_ptes", "dup_anon_ptes", "remove_ptes", "page_mapcount", "maybe_mapped_shared",
    }  # fmt: skip
    without_defaults = {one.__name__ for one in calls.ENTRIES} - {"prepare", "release", "move_pte", "page_exclusive"}
    found = {calls.ENTRIES[number].__name__ for number in CompiledEntries(scheme_of(TEXTS[1])).addresses}
    assert found == without_defaults


@needs_compiler
@needs_native
def test_a_field_of_each_mm_lies_where_the_engine_has_it(tmp_path: Path) -> None:
    """The file's struct has the ID first; the engine has it elsewhere, and the policy's fields behind its own."""
    text = TEXT.replace(
        "enum slot_level {", "struct mm_struct {\n\tunsigned int mm_id;\n\tint _adds;\n};\n\nenum slot_level {"
    )
    text = text.replace(
        "\tadd_to_slot(folio, nr, mm);\n\treturn add_pages",
        "\tmm->_adds += nr;\n\tadd_to_slot(folio, nr, mm);\n\treturn add_pages",
    )
    (tmp_path / "adds.c").write_text(text)
    scheme = scheme_of(str(tmp_path / "adds.c"))
    machine = Machine(scheme, Shape(64, 2, 16, max_order=4), "native")
    entries = CompiledEntries(scheme)
    entries.connect(machine)
    machine.create(0)
    machine.map_file(0, 0, machine.file_folio(3), 5)
    assert machine.field_of_mm(0, "_adds") == 5
    assert alike.difference(scheme, steps=40, connect=entries.connect) == ""


def test_the_struct_of_an_mm_keeps_its_lines() -> None:
    text = "int a;\nstruct mm_struct {\n\tunsigned int mm_id;\n\tlong x;\n};\nint b;"
    put = mm_struct_in_place(text)
    assert put.count("\n") == text.count("\n") and "fl_mm_id" in put and put.splitlines()[-1] == "int b;"


# -- differences ---------------------------------------------------------------------------------------
@needs_compiler
@needs_native
def test_a_difference_is_told_with_its_operation(other_text: dict[str, str]) -> None:
    scheme = scheme_of(str(SOURCE))
    other_text["folio->_owner_mapcount = nr - 1;"] = "folio->_owner_mapcount = nr - 2;"
    found = outcome(scheme)
    assert found.verdict == "failed"
    assert re.search(r"operation \d+ \(\w+ .*leaves other memory as compiled C: .* byte \d+ of struct page", found.text)


@needs_compiler
@needs_native
def test_a_rare_difference_is_found_by_the_long_walk(other_text: dict[str, str]) -> None:
    """Only a folio that many MMs map differs."""
    scheme = scheme_of(str(SOURCE))
    other_text["\tfolio->_state |= SHARED;\n"] = "\tfolio->_state |= mappings < 40 ? SHARED : SHARED | 4;\n"
    assert alike.difference(scheme, steps=20, connect=CompiledEntries(scheme).connect) == ""
    found = outcome(scheme)
    assert found.verdict == "failed" and "of struct page" in found.text


@needs_compiler
@needs_native
def test_a_crash_is_told(other_text: dict[str, str]) -> None:
    other_text["FL_ENTRY(new_anon)\n{\n"] = "FL_ENTRY(new_anon)\n{\n\t*(volatile int *)8 = 1;\n"
    found = outcome(scheme_of(str(SOURCE)))
    assert found.verdict == "failed" and "compiled C crashed: its process ended with signal SIGSEGV" in found.text


# -- interleavings -------------------------------------------------------------------------------------
@needs_compiler
@needs_native
def test_interleavings_of_the_compiled_text_are_explored() -> None:
    """It has about as many states as its translation: the compiler makes one load of some that C has twice."""
    scheme = scheme_of(str(SOURCE))
    program = next(programs(scheme))
    translated, of_c = states_of_both(scheme, program)
    assert 0.5 < of_c / translated < 2.0


@needs_compiler
@needs_native
def test_a_race_of_the_compiled_text_alone_is_found(tmp_path: Path, other_text: dict[str, str]) -> None:
    """The translation is right; what the compiler gets clears the mark after the unlock."""
    late = "\tif (mappings == folio->_owner_mapcount)\n\t\tfolio->_state &= ~SHARED;\n"
    unlock = "\tunlock_slot(folio);\n\treturn mappings + 1;"
    scheme = changed(tmp_path, HIDDEN, HIDDEN)  # what was compiled once for a policy stays in this process
    other_text[f"{late}{unlock}"] = unlock.replace("\treturn", f"{late}\treturn")
    attack = CompiledExplored()
    attack.run(scheme, Budget(10_000.0, 64 << 20), lambda news: None)  # it ends with the first violation
    assert "in an interleaving of: map_file" in attack.broken[0]


# -- without a compiler --------------------------------------------------------------------------------
def test_without_a_compiler_the_check_says_what_it_would_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccompiler, "COMPILERS", ("nobody",))
    found = outcome(scheme_of(str(SOURCE)))
    assert found.verdict == "skipped"
    assert "the C text itself runs as compiled" in found.text and "apt install gcc" in found.text


def test_a_policy_in_python_has_no_such_check() -> None:
    scheme = mm_id.POLICY.with_parameters()
    assert COMPILED not in {one.name for one in checks_for(scheme)}
    with pytest.raises(CSourceError, match="was not written in C"):
        compiled.compiled(scheme)


# -- what is compiled ----------------------------------------------------------------------------------
def test_only_what_the_hooks_reach_is_compiled(tmp_path: Path) -> None:
    file = tmp_path / "owner_slot.c"
    file.write_text(f"{TEXT}\nstatic void nobody(struct folio *folio)\n{{\n\tfolio->_state = 7;\n}}\n")
    text = onefile.compiler_text(file)
    assert "sub_from_slot" in text and "nobody" not in text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('__asm__("nop");', "has __asm__"),
        ("__attribute__((constructor))", "has __attribute__"),
        ("#define JOINED(a, b) a##b", "has ##"),
        ("__as\\\nm__", "in the middle of a word"),
        ("__builtin_trap();", "has __builtin_trap"),
    ],
)
def test_what_the_translator_does_not_see_is_refused(line: str, says: str) -> None:
    with pytest.raises(CSourceError, match=rf"scheme\.c:2: .*{re.escape(says)}"):
        allowed("scheme.c", f"int a; /* asm */\n{line}\n")


@needs_compiler
@needs_native
@only_gcc
def test_no_function_of_a_library_can_be_called(tmp_path: Path) -> None:
    """clang, which translates, and gcc may see different texts; what only the compiler sees must not reach out."""
    text = f"#ifndef __clang__\n\tint system(const char *);\n\tsystem(0);\n#endif\n{HIDDEN}"
    with pytest.raises(CSourceError, match=r"cannot build the C text of owner-slot: .*(system|error)"):
        compiled.compiled(changed(tmp_path, HIDDEN, text))


@needs_compiler
@needs_native
@only_gcc
def test_the_compiler_is_quoted_with_the_c_line(tmp_path: Path) -> None:
    text = f"#ifndef __clang__\n\tnowhere();\n#endif\n{HIDDEN}"
    line = TEXT[: TEXT.index(HIDDEN)].count("\n") + 2
    with pytest.raises(CSourceError, match=rf"owner_slot\.c:{line}:.*nowhere"):
        compiled.compiled(changed(tmp_path, HIDDEN, text))


@needs_compiler
@needs_native
def test_an_object_is_built_once_and_kept_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path / "cache"))
    scheme = changed(tmp_path, HIDDEN, HIDDEN)
    made = compiled.compiled(scheme)
    assert made.startswith(b"\x7fELF")
    builds: list[object] = []

    def anew(*given: object) -> bytes:
        builds.append(given)
        return b"anew"

    monkeypatch.setattr(ccompiler, "built", anew)
    assert compiled.compiled(scheme) == made and not builds
    for file in (tmp_path / "cache").rglob("*.native"):
        file.write_bytes(file.read_bytes()[:-1])  # nothing that was changed is loaded
    assert compiled.compiled(scheme) == b"anew" and len(builds) == 1
    assert cache.refusal() == ""


@needs_compiler
@needs_native
def test_a_text_that_has_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    scheme = changed(tmp_path, HIDDEN, HIDDEN)
    (tmp_path / "owner_slot.c").write_text(TEXT.replace("return mappings + 1;", "return mappings;"))
    with pytest.raises(CSourceError, match="has changed since it was read"):
        compiled.compiled(scheme)

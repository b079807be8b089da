"""One C file as a policy: it holds what it claims, and mutations are refuted at their C lines; the rest is refused."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("clang.cindex", reason="libclang is missing")

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.csource import onefile, translation
from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import Shape, native_missing, policy_library
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import CSourceError, FolioLabError, PluginError, UsageError
from foliolab.framework.isolation.process import can_fork
from foliolab.framework.plugins import starter
from foliolab.framework.plugins.registry import load
from foliolab.framework.verify import attacks
from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.finding import OWED, Finding

SOURCE = Path(__file__).with_name("owner_slot.c")
TEXT = SOURCE.read_text()


def scheme_of(folder: Path, text: str = TEXT, name: str = "owner_slot.c") -> Scheme:
    """The policy of a C text that is written to a file."""
    file = folder / name
    file.write_text(text)
    return load().policy(str(file), typed=True)


def line_of(words: str, text: str = TEXT) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def first_refutation(scheme: Scheme, attack: str, budget: Budget) -> Finding | None:
    """The first refutation by an attack, at which it is stopped."""
    stop = budget.stop = threading.Event()
    found: list[Finding] = []

    def tell(news: Progress | Finding) -> None:
        if isinstance(news, Finding) and news.verdict == "refuted":
            found.append(news)
            stop.set()

    (chosen,) = attacks.chosen([attack])
    found += [one for one in chosen.run(scheme, budget, tell) if one.verdict == "refuted"]
    return found[0] if found else None


# -- what is right ---------------------------------------------------------------------------------
def test_fields_claims_and_hooks_are_those_of_the_file(tmp_path: Path) -> None:
    scheme = scheme_of(tmp_path)
    assert scheme.name == "owner-slot" and scheme.capabilities == {"safe", "page-mapcount"}
    fields = {one.name: (one.ctype, one.per, one.page, one.offset, one.init) for one in scheme.fields}
    assert fields == {
        "_large_mapcount": ("i32", "folio", 1, 16, -1),
        "_owner_mapcount": ("i32", "folio", 1, 20, -1),
        "_owner": ("u32", "folio", 1, 32, 0),
        "_state": ("u64", "folio", 1, 40, 0),
        "_mapcount": ("i32", "page", 1, 48, -1),
    }
    bits = {one.name: [(bits.name, bits.low, bits.width) for bits in one.bits] for one in scheme.fields if one.bits}
    assert bits == {"_state": [("lock", 0, 1), ("shared", 1, 1), ("rest", 2, 62)]}
    assert "prepare" not in scheme.policy.hooks.given()  # its stores are the initial values
    assert scheme.policy.hooks.remove_ptes.__code__.co_filename == str(tmp_path / "owner_slot.c")
    assert scheme.policy.hooks.remove_ptes.__code__.co_firstlineno == line_of("static inline int remove_ptes")


@pytest.mark.parametrize("attack", ["explored", "random", "structural"])
def test_the_scheme_holds(attack: str, tmp_path: Path, computing_time: type[Budget]) -> None:
    (chosen,) = attacks.chosen([attack])
    found = chosen.run(scheme_of(tmp_path), computing_time(1.0, 128 << 20), lambda news: None)
    assert found and {one.verdict for one in found} == {"held"}


def test_the_solver_follows_the_c_text(tmp_path: Path, computing_time: type[Budget]) -> None:
    (chosen,) = attacks.chosen(["symbolic"])
    found = chosen.run(scheme_of(tmp_path), computing_time(2.0, 128 << 20), lambda news: None)
    (safe,) = {one.bound for one in found if one.claim == "safe"}
    assert re.search(r"held for [1-9] operations?|any operations", safe), safe


@pytest.mark.skipif(bool(native_missing()), reason="numba is missing")
def test_native_code_comes_from_the_quick_compiler(tmp_path: Path) -> None:
    assert policy_library(scheme_of(tmp_path)).is_quick(calls.ENTRIES, calls.KINDS)


def test_the_starting_file_holds(tmp_path: Path, computing_time: type[Budget]) -> None:
    file = starter.write("my-idea", tmp_path / starter.file_name("my-idea", ".c"))
    scheme = load([file], strict=True).policy("my-idea")
    assert scheme.policy.summary == "an owner and a shared mark: safe, not exact"
    assert first_refutation(scheme, "random", computing_time(0.5)) is None
    wrong = file.read_text().replace("\t\tfolio->_state |= SHARED;", "\t\t;")
    finding = first_refutation(scheme_of(tmp_path, wrong, "wrong.c"), "random", computing_time(30.0))
    assert finding is not None and finding.claim == "safe"


def test_members_of_a_union_divide_its_word(tmp_path: Path) -> None:
    """Two halves of a word, of which the C text locks a bit: the ranges are those that a proof needs."""
    union = "\tunion {\n\t\tunsigned long _state;\n\t\tunsigned int _half[2];\n\t};"
    text = TEXT.replace("\tunsigned long _state;", union).replace("_owner = NOBODY;", "_half[1] = NOBODY;")
    text = text.replace("folio->_owner ==", "folio->_half[1] ==").replace("folio->_owner = id", "folio->_half[1] = id")
    scheme = scheme_of(tmp_path, text)
    fields = {one.name: one for one in scheme.fields}
    assert fields["_half"].overlays and fields["_half"].init is None and not fields["_half"].bits
    named = [(one.name, one.low, one.width) for one in fields["_state"].bits]
    assert named == [("lock", 0, 1), ("shared", 1, 1), ("_half[0]", 2, 30), ("_half[1]", 32, 32)]


# -- mutations ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Mutation:
    """One changed line, the attack that refutes it, a law that it breaks, and words of a C line that is then named."""

    old: str
    new: str
    attack: str
    law: str
    named: str = ""


MUTATIONS = {
    "unlock lost": Mutation(
        "\t\tfolio->_owner_mapcount += nr;\n\t\tgoto out;", "\t\tfolio->_owner_mapcount += nr;\n\t\treturn;",
        "random", "lost-lock",
    ),
    "flag not set": Mutation("\tfolio->_state |= SHARED;\n", "\n", "random", "safe"),
    "wrong loop end": Mutation("while (page++, --nr > 0)", "while (page++, --nr > 1)", "random", "page-mapcount"),
    "count not put back": Mutation(
        "\t\tif (folio->_owner_mapcount < 0) {\n"
        "\t\t\tfolio->_owner_mapcount = -1;\n\t\t\tfolio->_owner = NOBODY;\n\t\t}\n",
        "\n\n\n\n", "random", "initial-values",
    ),
    "check turned round": Mutation(
        "_mapcount < 0);", "_mapcount >= 0);", "random", "checks", "_mapcount >= 0);"
    ),
    "field narrowed": Mutation("\tint _owner_mapcount;", "\tsigned char _owner_mapcount;\n\tchar _c[3];",
        "structural", "field-width",),
    "count read before the lock": Mutation(
        "\tlock_slot(folio);\n\tmappings = atomic_read(&folio->_large_mapcount) - nr;",
        "\tmappings = atomic_read(&folio->_large_mapcount) - nr;\n\tlock_slot(folio);", "explored", "",
    ),
    "flag changed after the unlock": Mutation(
        "\tif (mappings == folio->_owner_mapcount)\n\t\tfolio->_state &= ~SHARED;\n\tunlock_slot(folio);",
        "\tunlock_slot(folio);\n\tif (mappings == folio->_owner_mapcount)\n\t\tfolio->_state &= ~SHARED;",
        "explored", "",
    ),
    "ID over the flag bits": Mutation("\t\tfolio->_owner = id;", "\t\tfolio->_state = id << 1;", "random", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_of_one_line_is_refuted(name: str, tmp_path: Path, computing_time: type[Budget]) -> None:
    mutation = MUTATIONS[name]
    assert TEXT.count(mutation.old) == 1
    text = TEXT.replace(mutation.old, mutation.new)
    finding = first_refutation(scheme_of(tmp_path, text), mutation.attack, computing_time(30.0))
    assert finding is not None and finding.counterexample is not None
    assert not mutation.law or finding.counterexample.law == mutation.law
    if mutation.named:
        assert f"owner_slot.c:{line_of(mutation.named, text)}" in finding.counterexample.message
        assert mutation.named in finding.counterexample.message


def test_the_steps_of_a_counterexample_are_c_lines(tmp_path: Path, computing_time: type[Budget]) -> None:
    from foliolab.framework.verify.playback import play

    mutation = MUTATIONS["count read before the lock"]
    text = TEXT.replace(mutation.old, mutation.new)
    scheme = scheme_of(tmp_path, text)
    finding = first_refutation(scheme, "explored", computing_time(30.0))
    assert finding is not None and finding.counterexample is not None
    places = {frame.location for frame in play(finding.counterexample, scheme).frames}
    line = line_of("mappings = atomic_read(&folio->_large_mapcount) - nr", text)
    assert f"{tmp_path}/owner_slot.c:{line}" in places


# -- what is refused -----------------------------------------------------------------------------------
LOCKED = "\tlock_slot(folio);\n\tmappings = atomic_read(&folio->_large_mapcount)"
COUNTERS = "\tint mappings, removed = 0;"
RELEASED = "\tunlock_slot(folio);\n\treturn mappings + 1;"
RECURSION = "\tmappings = sub_from_slot(folio, nr, mm);"
NEW_ANON = "struct page *page, int nr, struct mm_struct *mm)\n{\n\tadd_pages"
REFUSED = [
    (f"{LOCKED} + nr;", "\tunknown(folio);", "unknown", "undeclared function 'unknown'"),
    (COUNTERS, "\tint mappings, removed = nr-- > 0;", "nr-- > 0", "-- inside of an expression"),
    ("= sub_from_slot", "= removed = sub_from_slot", "removed = sub", "an assignment inside of an expression"),
    ("(i = 0; i < nr", "(i = 1; i < nr", "i = 1", "a for loop that does not count up from 0"),
    ("\tunsigned long _state;", "\tdouble _state;", "_state |= SHARED", "invalid operands"),
    ("\tint _owner_mapcount;", "\tint _owner_mapcount : 30;", "_owner_mapcount : 30", "is a bit-field"),
    (NEW_ANON, f"int more, {NEW_ANON}", "int more", "another signature than the hook"),
    ("static inline void dup_ptes", "static inline void dup_pte", "", "has no function dup_ptes"),
    ('"safe page-mapcount"', '"safe exactly"', "", "claims exactly"),
    ("FOLIOLAB_REFERENCE", "FOLIOLAB_REFERENCES", "FOLIOLAB_REFERENCES", "there is no FOLIOLAB_REFERENCES"),
    (f"{LOCKED} - nr;", "\tlock_slot(folio);\n\tmappings = -nr / 2;", "-nr / 2", "may be negative"),
    ("\tif (mappings == folio->_owner_mapcount)", "\tif (folio)", "if (folio)", "the pointer folio is tested"),
    (f"{LOCKED} - nr;", RECURSION, "int sub_from_slot", "calls itself"),
    (RELEASED, "again:\n\tif (nr)\n\t\tgoto again;\n\treturn 1;", "goto again", "that is not forward"),
]


@pytest.mark.parametrize(("old", "new", "at", "says"), REFUSED, ids=lambda row: str(row)[:24])
def test_what_has_no_translation_is_refused_with_its_line(
    old: str, new: str, at: str, says: str, tmp_path: Path
) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    with pytest.raises(PluginError) as fault:
        scheme_of(tmp_path, text)
    assert says in str(fault.value)
    if at:
        assert f"owner_slot.c:{line_of(at, text)}" in str(fault.value)


def test_what_a_file_leaves_open_is_refused_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "open.c"
    file.write_text(f"{TEXT}\nint unfinished(")
    with pytest.raises(CSourceError, match=f"the end of {file}: expected"):
        onefile.translated(file)


def test_a_field_in_the_first_struct_page_is_refused(tmp_path: Path) -> None:
    text = TEXT.replace(
        "\tstruct page page;\n\tunsigned long _flags_1;", "\tunsigned long _flags_1;\n\tstruct page page;"
    )
    file = tmp_path / "owner_slot.c"
    file.write_text(
        text.replace("\tunsigned long _flags_1;\n", "\tint _early;\n").replace("folio->_owner ", "folio->_early ")
    )
    with pytest.raises(CSourceError, match="_early lies at byte 0, in the first struct page"):
        onefile.translated(file)


def test_a_file_that_is_named_in_data_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "owner_slot.c").write_text(TEXT)
    with pytest.raises(UsageError, match="is not loaded"):
        load().policy(str(tmp_path / "owner_slot.c"))


def test_without_libclang_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from foliolab.framework.csource import libclang

    libclang.bindings.cache_clear()
    monkeypatch.setitem(sys.modules, "clang", None)
    try:
        with pytest.raises(CSourceError) as fault:
            libclang.bindings()
        assert "libclang, which is not installed" in fault.value.what
        assert "pip install 'foliolab[c]'" in fault.value.hint
    finally:
        libclang.bindings.cache_clear()


def test_a_translation_is_made_once_and_anew_for_a_changed_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "owner_slot.c"
    file.write_text(TEXT)
    made = tmp_path / "made"  # a file, since each translation has a process of its own
    translated = onefile.translated

    def counted(path: Path) -> str:
        with made.open("a") as log:
            log.write(f"{path}\n")
        return translated(path)

    monkeypatch.setattr(onefile, "translated", counted)
    first = translation.text_of_file(file)
    assert translation.text_of_file(file) == first and made.read_text().splitlines() == [str(file)]
    file.write_text(TEXT.replace("mappings + 1", "mappings + 2"))
    assert translation.text_of_file(file) != first and made.read_text().splitlines() == [str(file)] * 2


# -- hostile texts and names ---------------------------------------------------------------------------
ANSWER = "\treturn mappings + 1;"
HOSTILE = {
    "a file of the disk": ("#include <linux/mm.h>", '#import "/dev/null"', "includes /dev/null"),
    "operators nested deep": (ANSWER, f"\treturn mappings{' + 1' * 3000};", "is nested too deep"),
    "parentheses nested deep": (ANSWER, f"\treturn {'(' * 160}mappings{' + 1)' * 160};", "is nested too deep"),
    "signs nested": (ANSWER, f"\treturn {'~' * 250}mappings;", "is nested too deep"),
    "signs nested deep": (ANSWER, f"\treturn {'~' * 20000}mappings;", "the translation of C text crashed"),
    "branches nested deep": (ANSWER, f"{'if (nr == 3) nr = 4; else ' * 1000};{ANSWER}", "is nested too deep"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.skipif(not can_fork(), reason="this platform cannot fork")
def test_a_hostile_text_is_refused_in_one_message(name: str, tmp_path: Path) -> None:
    old, new, says = HOSTILE[name]
    assert TEXT.count(old)
    with pytest.raises(PluginError, match=re.escape(says)):
        scheme_of(tmp_path, TEXT.replace(old, new, 1))


def test_a_text_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "SECONDS", 0.5)
    monkeypatch.setattr(translation, "MEMORY", 0)  # a quick machine would reach the limit first
    with pytest.raises(PluginError, match=r"the translation of C text did not end within 0\.5 s"):
        scheme_of(tmp_path, f'#import "/dev/zero"\n{TEXT}')


@pytest.mark.skipif(not can_fork(), reason="this platform cannot fork")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the kernel does not say what a process has")
def test_a_text_that_takes_too_much_memory_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "MEMORY", 48 << 20)
    tens = "".join(f"#define TENS_{n + 1} {', '.join([f'TENS_{n}'] * 10)}\n" for n in range(7))
    with pytest.raises(FolioLabError, match=r"not enough memory|translation of C text crashed"):
        scheme_of(tmp_path, f"#define TENS_0 1\n{tens}static const char many[] = {{ TENS_7 }};\n{TEXT}")


def test_a_long_chain_of_branches_is_translated(tmp_path: Path) -> None:
    """Its text grows with its length, and so does the work."""
    chain = "".join(f"if (nr == {n})\n\t\tnr = {n + 1};\n\telse " for n in range(40))
    file = tmp_path / "owner_slot.c"
    file.write_text(TEXT.replace(ANSWER, f"\t{chain}nr = 0;\n\treturn mappings + nr;", 1))
    text = onefile.translated(file)
    assert text.count("    elif nr == ") == 39 and text.count("    if nr == 0:") == 1


@pytest.mark.parametrize("name", ["a\n    quit()\n#.c", 'a".c', "a\u2028b.c", "a\udcff.c"])
def test_a_name_that_would_be_read_as_text_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="is none that C text can include"):
        scheme_of(tmp_path, TEXT, name)


def test_a_run_on_the_engine_sees_the_c_text(tmp_path: Path) -> None:
    machine = Machine(scheme_of(tmp_path), Shape(64, 2, 16, max_order=4), "interpreted")
    machine.create(0)
    machine.populate(0, 0, 16, 4)
    head = machine.frame(0, 0)
    assert machine.column("folio", "_owner_mapcount")[head] == 15 and machine.column("folio", "_owner")[head] == 1
    machine.fork(0, 1)
    assert machine.column("folio", "_state")[head] == 2
    assert OWED == ""


def test_the_commands_take_a_c_file(tmp_path: Path) -> None:
    def foliolab(*words: str) -> str:
        command = [sys.executable, "-m", "foliolab.framework.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert foliolab("new", "policy", "my-idea", "--c") == "written: my_idea.c\nnext: foliolab check my_idea.c\n"
    text = foliolab("show", "my_idea.c", "--text")
    assert re.search(r"    VM_WARN_ON\(total < 0\) +# C \S+my_idea\.c:\d+\n", text)
    assert "_owner u32" in foliolab("show", "my_idea.c")
    assert "def maybe_mapped_shared" in foliolab("show", "mm-id", "--text")

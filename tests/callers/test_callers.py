"""Operations of the engine in another text: what is refused, what runs in every execution, whose the verdicts are."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from foliolab.framework.api import MM, Folio, Memory, Page, page_to_pfn
from foliolab.framework.contract.caller import Caller
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import callers
from foliolab.framework.engine.callertext import check_caller_text
from foliolab.framework.engine.engine import Execution, Shape, engine_library, native_missing
from foliolab.framework.engine.entrypoints import fork_range
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import OPERATIONS
from foliolab.framework.engine.policytree import policy_digest, text_modules
from foliolab.framework.engine.structs import engine_layouts
from foliolab.framework.errors import FolioLabError, PluginError, PolicyTextError, UsageError
from foliolab.framework.operations import can_reuse_anon, folio_maybe_mapped_shared, folio_test_large
from foliolab.framework.plugins.registry import Registry, load
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.attacks import chosen
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.explored.derived import pairs
from foliolab.framework.verify.explored.exploration import explore
from foliolab.framework.verify.explored.programs import programs
from foliolab.framework.verify.explored.witness import counterexample
from foliolab.framework.verify.ledger import record_of
from foliolab.framework.verify.playback import confirm, play
from foliolab.framework.verify.verifier import verify
from foliolab.policies.callers import CALLERS, threads

FOUND: Registry = load()
MM_ID: Scheme = FOUND.policy("mm-id")
SHAPE = {"nr_pages": 64, "nr_mms": 3, "nr_vpns": 16, "nr_cpus": 1, "max_order": 2, "contents": 0, "scratch": 0}
BREAKS = {
    "mremap-6-17": [
        "create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1", "exit mm=1",
        "write mm=0 start=0", "mremap mm=0 start=0 to=8 nr=4",
    ],
    "fork-first-writable": [
        "create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1", "exit mm=1",
        "write mm=0 start=1", "fork parent=0 child=1",
    ],
    "wp-without-refcount": [
        "create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1", "exit mm=1", "get_user pfn=0",
        "write mm=0 start=0",
    ],
}  # fmt: skip
"""The operations after which a law breaks, for each wrong caller that ships."""


def reuse_if_exclusive(vm: Memory, folio: Folio, page: Page, mm: MM) -> bool:
    """A write fault that asks who maps the folio, and not who refers to it."""
    if folio_test_large(folio):
        return not folio_maybe_mapped_shared(vm, page_to_pfn(vm, page))
    return can_reuse_anon(vm, folio, page, mm)


WP = Caller(name="wp-without-refcount", summary="a test's", replace=((can_reuse_anon, reuse_if_exclusive),))
ALL = (*CALLERS, WP)
ALONE = frozenset(
    {"wp-without-refcount", *(caller.name for caller in CALLERS if caller.replace[0][1] in vars(threads).values())}
)
"""Callers that are wrong only where another thread of the same MM runs, or where something else refers to the folio."""


def under(name: str, policy: str = "mm-id") -> Scheme:
    return FOUND.policy(policy).under(next(one for one in ALL if one.name == name))


def example(scheme: Scheme, operations: list[str], law: str, claim: str = "") -> Counterexample:
    return Counterexample(
        policy=scheme.name, attack="random", law=law, claim=claim, message="", shape=SHAPE, threads=[operations]
    )


# -- names ------------------------------------------------------------------------------------------------
def test_a_policy_under_a_caller_has_a_name_that_finds_both_again() -> None:
    scheme = FOUND.policy("mm-id-slots:slots=3+fork-page-by-page")
    assert scheme.name == "mm-id-slots:slots=3+fork-page-by-page"
    assert scheme.caller is FOUND.callers["fork-page-by-page"] and dict(scheme.values)["slots"] == 3
    assert FOUND.policy(scheme.name) == scheme != scheme.under(None) == FOUND.policy("mm-id-slots:slots=3")
    assert "equivalent" in scheme.capabilities and "equivalent" not in scheme.under(None).capabilities
    assert FOUND.origin(scheme) == ("entry", "policies")
    with pytest.raises(UsageError, match="there is no caller 'fork'"):
        FOUND.policy("mm-id+fork")


def test_operations_that_a_caller_changes() -> None:
    changed = {caller.name: callers.changed_operations(caller) for caller in ALL}
    assert changed["fork-page-by-page"] == {"fork", "copy_range"}
    assert changed["mremap-6-17"] == {"mremap"}
    assert changed["wp-without-refcount"] == {"write", "gup_fast"}


def test_every_operation_has_entry_points() -> None:
    assert [name for name in OPERATIONS if not callers.entry_points_of(name)] == []


# -- verdicts ---------------------------------------------------------------------------------------------
def test_a_text_of_its_own_has_verdicts_of_its_own() -> None:
    schemes = [MM_ID, *(MM_ID.under(caller) for caller in CALLERS)]
    assert len({policy_digest(scheme) for scheme in schemes}) == len(schemes)
    assert text_modules(under("mremap-6-17")) > text_modules(MM_ID)
    verification = verify(under("mremap-6-17"), [], Budget(0.1), jobs=0)
    record = record_of(verification)
    assert (record.policy, record.parameters) == ("mm-id", "+mremap-6-17")
    assert record.digest != policy_digest(MM_ID)


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("policy", ["mm-id", "exact"])
def test_a_wrong_caller_breaks_a_law_and_the_engines_own_text_does_not(name: str, policy: str) -> None:
    scheme = under(name, policy)
    law, claim = ("reuse", "reuse") if name.startswith("wp") else ("anon-exclusive", "")
    found = example(scheme, BREAKS[name], law, claim)
    assert confirm(found, scheme)
    assert not play(found, scheme.under(None)).violations


EXPLORED = {
    "mremap-6-17": ("mremap", "anon-exclusive"),
    "fork-first-writable": ("fork", "anon-exclusive"),
}
"""What a thread does, beside one that asks the policy, when a wrong caller breaks a law; and the law."""


@pytest.mark.parametrize("name", EXPLORED)
def test_the_explored_attack_finds_a_wrong_caller(name: str) -> None:
    scheme, (kind, law) = under(name), EXPLORED[name]
    derived = [one for one in pairs(scheme) if one.kinds == ("ask whether it is shared", kind)][:6]
    for program in (one.program for one in derived):
        found = explore(scheme, program.shape, program.setup, program.threads)
        broken = [one for one in found.broken if one.violation.law == law]
        if broken:
            refuted = counterexample(found, broken[0], "explored", "sc")
            assert refuted is not None and refuted.policy == f"mm-id+{name}"
            assert confirm(refuted, FOUND.policy(refuted.policy))
            assert not play(refuted, MM_ID).violations
            return
    pytest.fail(f"{len(derived)} programs break no law")


def test_programs_are_those_that_run_what_a_caller_changes() -> None:
    for caller in CALLERS:
        changed = callers.changed_operations(caller)
        derived = pairs(MM_ID.under(caller))
        assert len(derived) > 0 and all(one.runs(changed) for one in derived)
    assert len(pairs(under("mremap-6-17"))) < len(pairs(MM_ID)) / 2


def test_an_explored_caller_runs_beside_other_threads() -> None:
    """A fork whose page-by-page text is interleaved visits other states, and breaks no law."""
    program = next(one for one in programs(MM_ID) if any(op.name == "fork" for part in one.threads for op in part))
    counts = {}
    for scheme in (MM_ID, under("fork-page-by-page")):
        found = explore(scheme, program.shape, program.setup, program.threads)
        assert found.complete and not found.broken, program.name
        counts[scheme.name] = found.states
    assert counts["mm-id"] != counts["mm-id+fork-page-by-page"], program.name


def test_attacks_that_run_no_operation_are_left_out() -> None:
    assert [one.name for one in chosen(calls=True)] == ["explored", "random", "structural"]
    with pytest.raises(UsageError, match="runs no operation"):
        chosen(["symbolic"], calls=True)


# -- the claim of being equivalent ------------------------------------------------------------------------
def with_claim(name: str) -> Scheme:
    from dataclasses import replace

    return MM_ID.under(replace(FOUND.callers[name], claims=frozenset({"equivalent"})))


@pytest.mark.parametrize("name", ["mremap-6-17", "fork-first-writable"])
def test_a_caller_that_is_not_equivalent_is_refuted(name: str) -> None:
    scheme = with_claim(name)
    found = play(example(scheme, BREAKS[name], "equivalent", "equivalent"), scheme).violations
    [broken] = [one for one in found if one.law == "equivalent"]
    assert broken.claim == "equivalent" and "by Linux's own text" in broken and "the PTE of page" in broken


def test_a_refuted_claim_of_a_caller_can_be_read_again(tmp_path: Path) -> None:
    written = example(with_claim("mremap-6-17"), BREAKS["mremap-6-17"], "equivalent", "equivalent")
    written.save(tmp_path / "one.json")
    assert Counterexample.load(tmp_path / "one.json") == written


def test_an_equivalent_caller_is_not() -> None:
    scheme = under("fork-page-by-page")
    for operations in BREAKS.values():
        assert not play(example(scheme, operations, "equivalent", "equivalent"), scheme).violations


# -- executions -------------------------------------------------------------------------------------------
def run(scheme: Scheme, execution: Execution) -> Any:
    """Memory after operations that every caller changes, by the same random numbers."""
    machine = Machine(scheme, Shape(256, 3, 64), execution)
    random = Random(5)
    machine.create(0)
    machine.populate(0, 0, 32, 2)
    for _ in range(12):
        machine.fork(0, 1)
        machine.write(random.choice((0, 1)), random.randrange(32))
        if random.random() < 0.5:
            machine.unmap(1, random.randrange(32), 1)
        machine.exit(1)
        machine.write(0, random.randrange(32))
        machine.mremap(0, 0, 32, 32)
        machine.mremap(0, 32, 0, 32)
    return machine.snapshot()


@pytest.mark.parametrize("caller", ALL, ids=lambda caller: caller.name)
def test_an_equivalent_caller_and_no_other_leaves_the_same_memory(caller: Caller) -> None:
    same = np.array_equal(run(MM_ID.under(caller), "interpreted"), run(MM_ID, "interpreted"))
    assert same is ("equivalent" in caller.claims or caller.name in ALONE)


@pytest.mark.slow
@pytest.mark.skipif(bool(native_missing()), reason=f"no native code: {native_missing()}")
def test_native_is_interpreted() -> None:
    scheme = under("fork-first-writable")
    assert np.array_equal(run(scheme, "native"), run(scheme, "interpreted"))


def test_native_code_of_two_texts_has_two_keys() -> None:
    layouts = engine_layouts(MM_ID)
    trees = [callers.engine_tree(None), *(callers.engine_tree(caller) for caller in CALLERS)]
    assert len({tree.digest(fork_range) for tree in trees}) == 4  # its own text, two forks, and one beside migration
    assert engine_library(layouts, None) is engine_library(layouts, None, caller=None)
    assert len({engine_library(layouts, None, caller=caller) for caller in (None, *CALLERS)}) == 1 + len(CALLERS)


# -- the text ---------------------------------------------------------------------------------------------
HEAD = """
from foliolab.framework.api import load, store
from foliolab.framework.operations import Caller, copy_present_ptes, make_writable, zap_range

SEEN = {}


def other(vm, contents, cpu, zone, parent, child, vpn, end, value):
    BODY


CALLER = Caller(name="mine", summary="mine", replace=((copy_present_ptes, other),))
"""


def of_file(folder: Path, body: str, **changes: str) -> Path:
    text = HEAD.replace("BODY", body)
    for old, new in changes.items():
        text = text.replace(old, new)
    file = folder / "mine.py"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("SEEN[vpn] = value\n    return 1", r"reads the global 'SEEN', a dict"),
        ("return [1]", r"mine\.py:9 makes a list"),
        (
            "store(child._mm_ids, 0)\n    return 1",
            r"mine\.py:9 uses child\._mm_ids, which is not a field",
        ),
        ("return 1 + cpu.nothing", r"mine\.py:9 uses cpu\.nothing, which is not a field of the engine"),
        ("store(child.rss_anon, 1)", r"mine\.py:8 returns nothing"),
        ("print(vpn)\n    return 1", r"mine\.py:9 prints"),
        ("return copy_present_ptes(vm, contents)", r"calls copy_present_ptes\(vm, contents\)"),
        ("if vpn:\n        return 1", "returns a value on some paths"),
    ],
)
def test_a_text_that_no_execution_allows_is_refused(tmp_path: Path, body: str, said: str) -> None:
    file = of_file(tmp_path, body)
    with pytest.raises(FolioLabError, match=said):
        load([file]).caller("mine")


def test_what_replaces_nothing_is_refused(tmp_path: Path) -> None:
    file = of_file(tmp_path, "return 1", **{"((copy_present_ptes, other),)": "((other, other),)"})
    with pytest.raises(PluginError, match="which no operation of the engine calls"):
        load([file]).caller("mine")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("((copy_present_ptes, other),)", "((zap_range, other),)", "cannot stand for 'zap_range'"),
        ("((copy_present_ptes, other),)", "()", "replaces no function"),
        ("((copy_present_ptes, other),)", "[1]", "replaces no function"),
        ("summary=", "claims=frozenset({'safe'}), summary=", "claims are equivalent"),
    ],
)
def test_a_declaration_is_checked(tmp_path: Path, old: str, new: str, said: str) -> None:
    [failure] = load([of_file(tmp_path, "return 1", **{old: new})]).failures
    assert said in failure.message


def test_a_good_text_of_a_file(tmp_path: Path) -> None:
    file = of_file(tmp_path, "return copy_present_ptes(vm, contents, cpu, zone, parent, child, vpn, vpn + 1, value)")
    registry = load()
    caller = registry.caller(f"{file}::mine")
    assert registry.origin(registry.policy("mm-id+mine")) == ("file", str(file))
    assert callers.changed_operations(caller) == {"fork", "copy_range"}
    with pytest.raises(UsageError, match="offers no caller 'your'"):
        registry.caller(f"{file}::your")
    with pytest.raises(UsageError, match="there is no plugin file"):
        registry.caller(f"{tmp_path}/none.py::mine")


def test_shipped_texts_keep_the_discipline(monkeypatch: pytest.MonkeyPatch) -> None:
    from foliolab.framework.engine import callertext

    monkeypatch.setattr(callertext, "OWN", ("foliolab.framework",))
    for caller in CALLERS:
        check_caller_text(callers.engine_tree(caller))


def test_a_text_with_a_wrong_number_is_refused_by_the_same_words(tmp_path: Path) -> None:
    with pytest.raises(PolicyTextError, match=r"has the number 1\.5"):
        load([of_file(tmp_path, "return 1.5")]).caller("mine")

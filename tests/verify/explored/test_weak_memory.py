"""Armv8's memory model: classical litmus tests with their published verdicts, and what follows for policies."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from foliolab.framework.contract.policy import Policy, Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import UsageError
from foliolab.framework.report.litmus import litmus as litmus_text
from foliolab.framework.verify.counterexample import MemoryModel
from foliolab.framework.verify.explored.exploration import Explorer, explore
from foliolab.framework.verify.explored.nodes import WHAT
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.result import Exploration
from foliolab.framework.verify.explored.stepping import NODE_MASK
from foliolab.framework.verify.explored.steps import DONE
from foliolab.framework.verify.explored.walker import Walker
from foliolab.framework.verify.explored.witness import counterexample
from foliolab.framework.verify.explored.world import World
from foliolab.framework.verify.playback import confirm, play
from foliolab.framework.verify.timeline import Timeline

sys.path.insert(0, str(Path(__file__).parent))
import armv8_axioms
import weak_policies
from litmus_policy import LOCATIONS, module_of
from litmus_random import programs

Program = tuple[Shape, list[Operation], list[list[Operation]]]
ALLOWED, FORBIDDEN = True, False
TESTS = [
    # message passing
    ("MP", "x=1; y=1 | r0=y; r1=x", "1:r0=1 1:r1=0", ALLOWED),
    ("MP+wmb", "x=1; wmb; y=1 | r0=y; r1=x", "1:r0=1 1:r1=0", ALLOWED),
    ("MP+po+rmb", "x=1; y=1 | r0=y; rmb; r1=x", "1:r0=1 1:r1=0", ALLOWED),
    ("MP+wmb+rmb", "x=1; wmb; y=1 | r0=y; rmb; r1=x", "1:r0=1 1:r1=0", FORBIDDEN),
    ("MP+mbs", "x=1; mb; y=1 | r0=y; mb; r1=x", "1:r0=1 1:r1=0", FORBIDDEN),
    ("MP+rel+acq", "x=1; y.=1 | r0=.y; r1=x", "1:r0=1 1:r1=0", FORBIDDEN),
    ("MP+rel+po", "x=1; y.=1 | r0=y; r1=x", "1:r0=1 1:r1=0", ALLOWED),
    ("MP+po+acq", "x=1; y=1 | r0=.y; r1=x", "1:r0=1 1:r1=0", ALLOWED),
    ("MP+wmb+addr", "x=1; wmb; y=1 | r0=y; r1=x@r0", "1:r0=1 1:r1=0", FORBIDDEN),
    ("MP+wmb+ctrl", "x=1; wmb; y=1 | r0=y; if r0; r1=x", "1:r0=1 1:r1=0", ALLOWED),
    ("MP+wmb+ctrl-rmb", "x=1; wmb; y=1 | r0=y; if r0; rmb; r1=x", "1:r0=1 1:r1=0", FORBIDDEN),
    ("MP+atomics+rmb", "x++; y++ | r0=y; rmb; r1=x", "1:r0=1 1:r1=0", ALLOWED),
    ("MP+atomic-return+rmb", "x=1; r0=++y | r0=y; rmb; r1=x", "1:r0=1 1:r1=0", FORBIDDEN),
    ("MP+wmb+cas-fails", "x=1; wmb; y=1 | r0=cas y; r1=x", "1:r0=1 1:r1=0", ALLOWED),
    ("MP+locks", "lock; x=1; y=1; unlock | lock; r0=y; r1=x; unlock", "1:r0=1 1:r1=0", FORBIDDEN),
    ("MP+lock+po", "lock; x=1; y=1; unlock | r0=y; r1=x", "1:r0=1 1:r1=0", ALLOWED),
    ("MP+rel-late", "z=1; x.=1; y=1 | r0=y; rmb; r1=z", "1:r0=1 1:r1=0", ALLOWED),
    # store buffering
    ("SB", "x=1; r0=y | y=1; r0=x", "0:r0=0 1:r0=0", ALLOWED),
    ("SB+mbs", "x=1; mb; r0=y | y=1; mb; r0=x", "0:r0=0 1:r0=0", FORBIDDEN),
    ("SB+mb+po", "x=1; mb; r0=y | y=1; r0=x", "0:r0=0 1:r0=0", ALLOWED),
    ("SB+wmb-mbs", "x=1; wmb; mb; r0=y | y=1; mb; r0=x", "0:r0=0 1:r0=0", FORBIDDEN),
    ("SB+rmbs", "x=1; rmb; r0=y | y=1; rmb; r0=x", "0:r0=0 1:r0=0", ALLOWED),
    ("SB+wmbs", "x=1; wmb; r0=y | y=1; wmb; r0=x", "0:r0=0 1:r0=0", ALLOWED),
    ("SB+rel+acq", "x.=1; r0=.y | y.=1; r0=.x", "0:r0=0 1:r0=0", ALLOWED),  # LDAPR; LDAR would forbid it
    ("SB+atomics", "x++; r0=y | y++; r0=x", "0:r0=0 1:r0=0", ALLOWED),
    ("SB+atomic-returns", "r1=++x; r0=y | r1=++y; r0=x", "0:r0=0 1:r0=0", FORBIDDEN),
    ("SB+read-first", "r1=z; x=1; rmb; r0=y | y=1; mb; r0=x", "0:r0=0 1:r0=0", ALLOWED),
    # stores in order
    ("R", "x=1; y=1 | y=2; r0=x", "y=2 1:r0=0", ALLOWED),
    ("R+mbs", "x=1; mb; y=1 | y=2; mb; r0=x", "y=2 1:r0=0", FORBIDDEN),
    ("R+wmb+po", "x=1; wmb; y=1 | y=2; r0=x", "y=2 1:r0=0", ALLOWED),
    ("S", "x=2; y=1 | r0=y; x=1", "x=2 1:r0=1", ALLOWED),
    ("S+wmb+data", "x=2; wmb; y=1 | r0=y; x=1@r0", "x=2 1:r0=1", FORBIDDEN),
    ("2+2W", "x=1; y=2 | y=1; x=2", "x=1 y=1", ALLOWED),
    ("2+2W+wmbs", "x=1; wmb; y=2 | y=1; wmb; x=2", "x=1 y=1", FORBIDDEN),
    # one location
    ("CoRR", "x=1 | r0=x; r1=x", "1:r0=1 1:r1=0", FORBIDDEN),
    ("CoWW", "x=1; x=2 | r0=x", "x=1", FORBIDDEN),
    ("CoWR", "x=1; r0=x | x=2", "0:r0=0", FORBIDDEN),
    ("CoRW", "r0=x; x=1 | x=2", "0:r0=1", FORBIDDEN),
    ("CoRR2", "x=1 | x=2 | r0=x; r1=x | r0=x; r1=x", "2:r0=1 2:r1=2 3:r0=2 3:r1=1", FORBIDDEN),
    ("atomics", "x++ | x++ | x++", "x=2", FORBIDDEN),
    # several processes: Armv8 is multi-copy atomic
    ("WRC", "x=1 | r0=x; y=1@r0 | r0=y; r1=x", "1:r0=1 2:r0=1 2:r1=0", ALLOWED),
    ("WRC+data+addr", "x=1 | r0=x; y=1@r0 | r0=y; r1=x@r0", "1:r0=1 2:r0=1 2:r1=0", FORBIDDEN),
    ("ISA2", "x=1; wmb; y=1 | r0=y; z=1@r0 | r0=z; r1=x@r0", "1:r0=1 2:r0=1 2:r1=0", FORBIDDEN),
    ("IRIW", "x=1 | y=1 | r0=x; r1=y | r0=y; r1=x", "2:r0=1 2:r1=0 3:r0=1 3:r1=0", ALLOWED),
    ("IRIW+addrs", "x=1 | y=1 | r0=x; r1=y@r0 | r0=y; r1=x@r0", "2:r0=1 2:r1=0 3:r0=1 3:r1=0", FORBIDDEN),
    ("MP+wmb+addr-addr", "x=1; wmb; y=1 | r0=y; r1=z@r0; r1=x@r1", "1:r0=1 1:r1=0", FORBIDDEN),
    ("MP+wmb+addr-acq", "x=1; wmb; y=1 | r0=y; r1=.z@r0; r1=x", "1:r0=1 1:r1=0", FORBIDDEN),
    ("MP+wmb+own-atomic", "x=1; wmb; y=1 | r0=y; r1=++z; r1=x", "1:r0=1 1:r1=0", FORBIDDEN),
    ("MP+wmb+late-cas", "x=1; wmb; y=1 | r0=y; r1=cas x", "1:r0=1 1:r1=0", ALLOWED),
    ("SB+atomic-acq", "x++; r0=.x; r0=y | y=1; mb; r0=x", "0:r0=0 1:r0=0", FORBIDDEN),
    ("SB+store-acq", "x=1; r0=.x; r0=y | y=1; mb; r0=x", "0:r0=0 1:r0=0", ALLOWED),
    ("LB+datas", "r0=x; y=1@r0 | r0=y; x=1@r0", "0:r0=1 1:r0=1", FORBIDDEN),  # out of thin air
    ("LB+acqs", "r0=.x; y=1 | r0=.y; x=1", "0:r0=1 1:r0=1", FORBIDDEN),
    ("LB+rels", "r0=x; y.=1 | r0=y; x.=1", "0:r0=1 1:r0=1", FORBIDDEN),
    ("IRIW+acqs", "x=1 | y=1 | r0=.x; r1=y | r0=.y; r1=x", "2:r0=1 2:r1=0 3:r0=1 3:r1=0", FORBIDDEN),
    ("WRC+acq-rel", "x=1 | r0=x; y.=1 | r0=.y; r1=x", "1:r0=1 2:r0=1 2:r1=0", FORBIDDEN),
    ("PPODA", "x=1; wmb; y=1 | r0=y; z=1@r0; r1=z; r1=x@r1", "1:r0=1 1:r1=0", FORBIDDEN),
    ("PPOCA", "x=1; wmb; y=1 | r0=y; if r0; z=1; r1=z; r1=x@r1", "1:r0=1 1:r1=0", ALLOWED),
]  # fmt: skip
BEYOND = [
    ("LB", "r0=x; y=1 | r0=y; x=1", "0:r0=1 1:r0=1"),
    ("S+wmb+po", "x=2; wmb; y=1 | r0=y; x=1", "x=2 1:r0=1"),
]
"""Allowed by Armv8, and not explored: a load behind a later store of its thread."""


TEXTS = [one[1] for one in (*TESTS, *BEYOND)] + programs(seed=19, count=300)


@pytest.fixture(scope="module")
def litmus(tmp_path_factory: pytest.TempPathFactory) -> Scheme:
    scheme: Scheme = module_of(TEXTS, tmp_path_factory.mktemp("litmus")).POLICY.with_parameters()
    return scheme


def explorer_of(scheme: Scheme, number: int, model: MemoryModel = "armv8", late: bool = True) -> Explorer:
    """The search of a test: each of its processes maps the folio. `late`: whether it looks ahead for late reads."""
    count = TEXTS[number].count("|") + 1
    shape = Shape(nr_pages=16, nr_mms=count, nr_vpns=8, nr_cpus=count, max_order=2)
    texts = [f"create mm={mm} mm_id={4 * number + mm + 1}" for mm in range(count)] + ["file_folio order=2"]
    threads = [[Operation.parse(f"map_file mm={mm} vpn=0 pfn=0 nr=1")] for mm in range(count)]
    world = World(scheme, shape, [Operation.parse(text) for text in texts], threads)
    explorer = Explorer(world, Options(model=model, memory=64 << 20, symmetry=False, keep_on=True))
    explorer.late &= late
    assert explorer.run(lambda _: True).complete
    return explorer


def outcomes(explorer: Explorer) -> set[armv8_axioms.Outcome]:
    """What the registers and locations hold in each last state."""
    world, found = explorer.world, set()
    page = world.machine.vm.at("folio", world.folio[0] * world.machine.layouts["page"].size)
    words, threads = len(explorer.words), len(world.programs)
    for row in explorer.state[: explorer.found.states].tolist():
        at = [value & NODE_MASK for value in row[words : words + threads]]
        if any(explorer.nodes.table[node, WHAT] & 0xFF != DONE for node in at) or any(row[words + threads + 1 :]):
            continue
        memory = dict(zip(explorer.words, row, strict=False))
        for thread, node in enumerate(at):  # what only one thread uses is not shared memory
            trie = explorer.tries[thread]
            memory |= dict(trie.boundaries[trie.at[node]].overlay)
        fields = [(f"{t}:r{at}", page._registers[2 * t + at]) for t in range(threads) for at in range(2)]
        fields += [(name, page._locations[at]) for at, name in enumerate(LOCATIONS)]
        held = [(name, memory.get(ref.off >> 3, 0) >> 8 * (ref.off & 7) & 0xFFFFFFFF) for name, ref in fields]
        found.add(frozenset(held))
    return found


def is_among(wanted: str, found: Collection[armv8_axioms.Outcome]) -> bool:
    pairs = {(name, int(value)) for name, value in (part.split("=") for part in wanted.split())}
    return any(pairs <= one for one in found)


def reaches(explorer: Explorer, wanted: str) -> bool:
    return is_among(wanted, outcomes(explorer))


@pytest.mark.parametrize("number", range(len(TESTS)), ids=[one[0] for one in TESTS])
def test_verdict(litmus: Scheme, number: int) -> None:
    """The published verdict; and no outcome more or less than the axioms have."""
    _, text, wanted, allowed = TESTS[number]
    found = outcomes(explorer_of(litmus, number))
    assert is_among(wanted, found) == allowed
    assert found == armv8_axioms.outcomes(text)


@pytest.mark.parametrize("number", range(len(BEYOND)), ids=[one[0] for one in BEYOND])
def test_what_armv8_allows_and_is_not_explored(litmus: Scheme, number: int) -> None:
    """The bound that docs/verifier.md names: whoever lifts it finds these tests failing."""
    _, text, wanted = BEYOND[number]
    assert not reaches(explorer_of(litmus, len(TESTS) + number), wanted)
    assert is_among(wanted, armv8_axioms.outcomes(text, late_loads=True))
    assert not is_among(wanted, armv8_axioms.outcomes(text))


def test_nothing_comes_out_of_thin_air() -> None:
    """By the axioms alone: of loads behind later stores, which are not explored, these are none."""
    for name in ("LB+datas", "LB+acqs", "LB+rels"):
        text, wanted = next(one[1:3] for one in TESTS if one[0] == name)
        assert not is_among(wanted, armv8_axioms.outcomes(text, late_loads=True)), name


def test_programs_that_nobody_wrote_end_as_the_axioms_allow(litmus: Scheme) -> None:
    """Never otherwise. All of what they allow is explored, but where the two bounds of docs/verifier.md apply."""
    missed = {}
    for number in range(len(TESTS) + len(BEYOND), len(TEXTS)):
        found, allowed = outcomes(explorer_of(litmus, number)), armv8_axioms.outcomes(TEXTS[number])
        assert found <= allowed, TEXTS[number]
        if found < allowed:
            missed[TEXTS[number]] = len(allowed - found)
    assert all(depends_on_what_is_accessed_again(one) for one in missed), missed
    assert len(missed) < 5


def depends_on_what_is_accessed_again(test: str) -> bool:
    """Whether a load's address depends on a register, or an acquire follows an atomic operation on its location."""
    return "@" in test or any(re.search(r"(\w)\+\+.*=\.\1", process) for process in test.split("|"))


def test_everything_allowed_is_more_than_tso_allows_and_less_is_sequential(litmus: Scheme) -> None:
    for name, models in (("SB", ("tso", "armv8")), ("MP", ("armv8",)), ("R", ("tso", "armv8")), ("2+2W", ("armv8",))):
        number = [one[0] for one in TESTS].index(name)
        seen = [
            model for model in get_args(MemoryModel) if reaches(explorer_of(litmus, number, model), TESTS[number][2])
        ]
        assert seen == list(models), name


@pytest.mark.parametrize("name", ["MP+lock+po", "MP+wmb+addr", "MP+po+rmb", "S"])
def test_what_no_thread_reads_late_need_not_be_kept(litmus: Scheme, name: str) -> None:
    number = [one[0] for one in TESTS].index(name)
    ahead, whole = explorer_of(litmus, number), explorer_of(litmus, number, late=False)
    assert outcomes(ahead) == outcomes(whole)
    assert ahead.found.states <= whole.found.states


# -- policies --------------------------------------------------------------------------------------------
def program(asks: bool) -> Program:
    """An MM that maps and unmaps a second page of what another one maps, and a reader; or two that map at once."""
    setup = ["create mm=0 mm_id=1", "create mm=1 mm_id=2", "file_folio order=2"]
    both = [f"map_file mm={mm} vpn=0 pfn=0 nr=1" for mm in range(2)]
    again = ["map_file mm=0 vpn=1 pfn=1 nr=1", "unmap mm=0 start=1 nr=1"]
    threads = [again, ["maybe_shared pfn=0"]] if asks else [[one] for one in both]
    shape = Shape(nr_pages=16, nr_mms=2, nr_vpns=8, nr_cpus=2, max_order=2)
    texts = [*setup, *(both if asks else [])]
    return shape, [Operation.parse(text) for text in texts], [[Operation.parse(t) for t in mine] for mine in threads]


def search(policy: Policy, asks: bool, model: MemoryModel) -> Exploration:
    return explore(policy.with_parameters(), *program(asks), options=Options(model=model, memory=64 << 20))


@pytest.mark.parametrize("asks", [True, False])
def test_a_sound_policy_holds(asks: bool) -> None:
    found = search(weak_policies.SOUND, asks, "armv8")
    assert found.complete and not found.broken


@pytest.mark.parametrize(
    ("policy", "asks", "turn"),
    [
        (weak_policies.WITHOUT_READ_BARRIER, True, "1?1"),
        (weak_policies.WITHOUT_WRITE_BARRIER, True, "0+"),
        (weak_policies.WITHOUT_RELEASE, False, "0!"),
    ],
    ids=lambda one: getattr(one, "name", str(one)),
)
def test_what_armv8_needs_is_missed_under_armv8_only(policy: Policy, asks: bool, turn: str) -> None:
    for model in ("sc", "tso"):
        held = search(policy, asks, model)
        assert held.complete and not held.broken
    found = search(policy, asks, "armv8")
    example = counterexample(found, found.broken[0], "explored", "armv8")
    assert example is not None and example.memory_model == "armv8" and turn in example.schedule.split()
    scheme = policy.with_parameters()
    assert confirm(example, scheme)
    assert not confirm(replace(example, schedule=example.schedule.replace("?1", "*1")), scheme) or turn != "1?1"
    text = litmus_text(Timeline(example, scheme), "foliolab step")
    assert "exists (" in text and "P1(" in text


def test_random_schedules_have_early_loads() -> None:
    scheme = weak_policies.WITHOUT_READ_BARRIER.with_parameters()
    found = Walker(World(scheme, *program(asks=True)), Options(model="armv8"), seed=1, most=20_000).run(lambda _: True)
    example = counterexample(found, found.broken[0], "explored", "armv8")
    assert example is not None and "1?1" in example.schedule.split() and confirm(example, scheme)


def test_a_schedule_that_a_barrier_forbids_is_refused() -> None:
    found = search(weak_policies.WITHOUT_READ_BARRIER, True, "armv8")
    example = counterexample(found, found.broken[0], "explored", "armv8")
    assert example is not None
    with pytest.raises(UsageError, match="cannot read a value that old"):
        play(example, weak_policies.SOUND.with_parameters())

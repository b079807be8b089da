"""What a litmus test of `litmus_policy` may end with under Armv8, by the published axioms: every execution is built.

A second evaluator, which shares nothing with the product's: an execution is a choice of what each load reads from (rf)
and of an order of the stores to each location (co). It is allowed if it is coherent (internal), if nothing comes
between the halves of an atomic operation (atomic), and if what is observed and what is ordered locally makes no cycle
(external). The axioms are those of `aarch64.cat` of herdtools7 and of Pulte, Flur, Deacon, French, Sarkar, Sewell,
"Simplifying ARM concurrency" (POPL 2018), figure 4. The kernel's primitives stand for these instructions: READ_ONCE
LDR, WRITE_ONCE STR, smp_load_acquire LDAPR, smp_store_release STLR, smp_mb DMB ISH, smp_rmb DMB ISHLD, smp_wmb DMB
ISHST, `x++` STADD, an atomic with a result that does not fail a DMB ISH at both sides, a lock LDSETA, an unlock STLR.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import not_
from typing import Any, Final

from litmus_policy import LOCATIONS

Outcome = frozenset[tuple[str, int]]
LOCK: Final = "lock"


@dataclass(eq=False)
class Event:
    """A load, a store or a barrier.

    Args:
        kind: R, W, or the name of a barrier.
        value: that is stored; of an addition, what it adds.
        address, data, control: the loads that it depends on.
        acquires, releases: its order.
        quiet: the load of an atomic operation without a result: DMB ISHLD does not order it.
        load: of the store of an atomic operation the other half.
        adds: whether such a store adds.
        holds: what must be true of the value that it loads, on this way through the process.
    """

    thread: int
    kind: str
    place: str = ""
    value: int = 0
    address: Sequence[Event] = ()
    data: Sequence[Event] = ()
    control: Sequence[Event] = ()
    acquires: bool = False
    releases: bool = False
    quiet: bool = False
    load: Event | None = None
    adds: bool = False
    holds: list[Callable[[int], bool]] = field(default_factory=list)


Relation = set[tuple[int, int]]
"""Pairs of events, by their numbers."""


class Way:
    """One way through a process.

    Args:
        answers: whether each branch is taken and each compare-and-exchange succeeds, as far as one comes.

    Attributes:
        registers: for each the load that it holds the value of, and what is added to that.
    """

    def __init__(self, process: str, thread: int, answers: Sequence[bool]) -> None:
        self.thread = thread
        self.answers = list(answers)
        self.events: list[Event] = []
        self.registers: dict[str, tuple[Event | None, int]] = {"r0": (None, 0), "r1": (None, 0)}
        self.control: list[Event] = []
        self.possible = True
        for words in (part.strip() for part in process.split(";")):
            if words.startswith("if ") and not self._goes_on(words[3:]):
                break
            if not words.startswith("if "):
                self._do(words)

    def _add(self, kind: str, place: str = "", value: int = 0, **more: Any) -> Event:
        event = Event(self.thread, kind, place, value, control=tuple(self.control), **more)
        self.events.append(event)
        return event

    def _goes_on(self, register: str) -> bool:
        load, added = self.registers[register]
        taken = self.answers.pop(0)
        if load is None or added:
            self.possible &= taken == bool(added)
        else:
            load.holds.append(bool if taken else not_)
        self.control += [] if load is None else [load]
        return taken

    def _update(self, register: str, place: str) -> None:
        """An addition with a result: a full barrier at both sides."""
        self._add("mb")
        load = self._add("R", place)
        self._add("W", place, 1, load=load, adds=True)
        self._add("mb")
        self.registers[register] = load, 1

    def _compare(self, register: str, place: str) -> None:
        """A compare-and-exchange of 9 by 8, a full barrier unless it fails."""
        succeeds = self.answers.pop(0)
        if succeeds:
            self._add("mb")
        load = self._add("R", place, holds=[(9).__eq__ if succeeds else (9).__ne__])
        if succeeds:
            self._add("W", place, 8, load=load)
            self._add("mb")
        self.registers[register] = load, 0

    def _sources(self, register: str | None) -> list[Event]:
        load = self.registers[register][0] if register else None
        return [load] if load is not None else []

    def _do(self, words: str) -> None:
        """One statement, as `litmus_policy` has them."""
        if words in ("mb", "rmb", "wmb"):
            self._add(words)
        elif words == "lock":
            self._add("W", LOCK, 1, load=self._add("R", LOCK, acquires=True, holds=[not_]))
        elif words == "unlock":
            self._add("W", LOCK, 0, releases=True)
        elif found := re.fullmatch(r"(\w)\+\+", words):
            load = self._add("R", found[1], quiet=True)
            self._add("W", found[1], 1, load=load, adds=True, data=[load])
        elif found := re.fullmatch(r"(r\d)=\+\+(\w)", words):
            self._update(found[1], found[2])
        elif found := re.fullmatch(r"(r\d)=cas (\w)", words):
            self._compare(found[1], found[2])
        elif found := re.fullmatch(r"(r\d)=(\.?)(\w)(?:@(r\d))?", words):
            load = self._add("R", found[3], acquires=bool(found[2]), address=self._sources(found[4]))
            self.registers[found[1]] = load, 0
        elif found := re.fullmatch(r"(\w)(\.?)=(\d)(?:@(r\d))?", words):
            self._add("W", found[1], int(found[3]), releases=bool(found[2]), data=self._sources(found[4]))
        else:
            raise AssertionError(words)


def ways_of(process: str, thread: int) -> list[Way]:
    """All ways through a process."""
    asked = len(re.findall(r"\b(?:if|cas) ", process))
    found: dict[tuple[bool, ...], Way] = {}
    for answers in itertools.product((False, True), repeat=asked):
        way = Way(process, thread, answers)
        if way.possible:
            found.setdefault(answers[: asked - len(way.answers)], way)
    return list(found.values())


def outcomes(test: str, late_loads: bool = False) -> set[Outcome]:
    """How a test may end: registers and locations.

    Args:
        late_loads: also executions in which a load is done behind a later store of its thread (LB).
    """
    found: set[Outcome] = set()
    for ways in itertools.product(*(ways_of(one, at) for at, one in enumerate(test.split("|")))):
        found |= _outcomes_of(ways, late_loads)
    return found


def _outcomes_of(ways: Sequence[Way], late_loads: bool) -> set[Outcome]:
    events = [Event(-1, "W", place, 0) for place in (*LOCATIONS, LOCK)]
    events += [event for way in ways for event in way.events]
    number = {event: at for at, event in enumerate(events)}
    places = [coherent(events, number, place) for place in (*LOCATIONS, LOCK)]
    local = local_order(events, number, late_loads)
    found: set[Outcome] = set()
    for chosen in itertools.product(*places):
        held = {at: value for one in chosen for at, value in one.values.items()}
        registers = {
            (f"{at}:{name}", added if load is None else held[number[load]] + added)
            for at, way in enumerate(ways)
            for name, (load, added) in way.registers.items()
        }
        last = {(place, held[one.stores[-1]]) for place, one in zip(LOCATIONS, chosen, strict=False)}
        outcome = frozenset(registers | last)
        if outcome not in found and is_external(events, number, chosen, local):
            found.add(outcome)
    return found


@dataclass
class Coherence:
    """What happens at one location.

    Args:
        stores: in their order (co), that of the beginning first.
        read: for each load the store that it reads from (rf).
        values: of stores and loads.
    """

    stores: Sequence[int]
    read: Mapping[int, int]
    values: Mapping[int, int]

    @property
    def communication(self) -> Iterator[tuple[int, int]]:
        """co, rf and fr."""
        yield from itertools.combinations(self.stores, 2)
        for load, store in self.read.items():
            yield store, load
            for after in self.stores[self.stores.index(store) + 1 :]:
                if after != load:
                    yield load, after


def coherent(events: Sequence[Event], number: Mapping[Event, int], place: str) -> list[Coherence]:
    """All that can happen at a location by the axioms internal and atomic."""
    here = [at for at, one in enumerate(events) if one.place == place]
    stores = [at for at in here if events[at].kind == "W"]
    same = {(i, j) for i, j in itertools.combinations(here, 2) if events[i].thread == events[j].thread >= 0}
    found = []
    for order in itertools.permutations(stores[1:]):
        line, values, halves = [stores[0], *order], {stores[0]: 0}, {}
        for before, at in itertools.pairwise(line):
            one = events[at]
            values[at] = one.value + (values[before] if one.adds else 0)
            if one.load is not None:
                halves[number[one.load]] = before  # atomic: nothing is between the two halves
        if any(i > j and (j, i) in same for i, j in itertools.combinations(order, 2)):
            continue
        loads = [at for at in here if events[at].kind == "R"]
        ways = [[at for at in ([halves[load]] if load in halves else line)
                 if all(holds(values[at]) for holds in events[load].holds)] for load in loads]  # fmt: skip
        for chosen in itertools.product(*ways):
            read = dict(zip(loads, chosen, strict=True))
            one_way = Coherence(line, read, {**values, **{load: values[store] for load, store in read.items()}})
            if not _has_cycle(same | set(one_way.communication), len(events)):
                found.append(one_way)
    return found


def local_order(events: Sequence[Event], number: Mapping[Event, int], late_loads: bool) -> Relation:
    """What a thread's own text orders, whatever it reads: dob, bob and the halves of atomic operations."""
    found: Relation = set()
    for at, one in enumerate(events):
        for later in range(at + 1, len(events)):
            if one.thread == events[later].thread >= 0 and _is_ordered(events, at, later, late_loads):
                found.add((at, later))
        for source in (*one.address, *one.data, *(one.control if one.kind == "W" else ())):
            found.add((number[source], at))
    return found


def _is_ordered(events: Sequence[Event], at: int, later: int, late_loads: bool) -> bool:
    """Barrier-ordered-before, what depends by an address on the way, and (not `late_loads`) a load before a store."""
    one, two = events[at], events[later]
    if one.kind not in "RW" or two.kind not in "RW":
        return False
    between = {events[k].kind for k in range(at + 1, later)}
    heard = one.kind == "R" and not one.quiet
    barrier = "mb" in between or ("rmb" in between and heard) or ("wmb" in between and one.kind == two.kind == "W")
    same = two.kind == "W" and one.place == two.place
    through = two.kind == "W" and any(one in events[k].address for k in range(at + 1, later))
    return barrier or one.acquires or two.releases or same or through or (not late_loads and heard and two.kind == "W")


def is_external(
    events: Sequence[Event], number: Mapping[Event, int], places: Sequence[Coherence], local: Relation
) -> bool:
    """Whether what is observed between threads and what is ordered locally makes no cycle."""
    ordered = {
        (i, j) for place in places for i, j in place.communication if events[i].thread != events[j].thread
    }  # fmt: skip
    for load, store in ((load, store) for place in places for load, store in place.read.items()):
        if events[store].thread == events[load].thread:  # rfi
            ordered |= {(number[source], load) for source in (*events[store].address, *events[store].data)}
            if events[store].load is not None and events[load].acquires:
                ordered.add((store, load))
    return not _has_cycle(local | ordered, len(events))


def _has_cycle(relation: Relation, count: int) -> bool:
    after: list[list[int]] = [[] for _ in range(count)]
    before = [0] * count
    for one, two in relation:
        after[one].append(two)
        before[two] += 1
    free, done = [at for at in range(count) if not before[at]], 0
    while free:
        done += 1
        for two in after[free.pop()]:
            before[two] -= 1
            if not before[two]:
                free.append(two)
    return done != count

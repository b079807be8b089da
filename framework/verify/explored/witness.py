"""Turns a path of a search into a counterexample, and confirms it on the interpreted engine.

A path contains only the steps on shared memory. A schedule also counts local accesses to struct pages and page tables.
They are placed as the search assumes (see `trie`): those up to the last that sets a page-table entry follow the step
before them at once, the others come just before the thread's next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import msgspec

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.counterexample import Counterexample, MemoryModel, Turn, schedule_text
from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.history import LocalAccesses
from foliolab.framework.verify.explored.nodes import CHILD, COLUMN, WHAT
from foliolab.framework.verify.explored.result import Broken, Exploration, PathStep
from foliolab.framework.verify.explored.trie import Trie
from foliolab.framework.verify.playback import play

TO_THE_END: Final = 100_000
"""More accesses than any thread does: a last turn with this count runs to the end."""
_UNCOUNTED: Final = frozenset({s.RELAX, s.BARRIER, s.MARK, s.DONE})


class _Thread:
    """The position of a thread on a path.

    Args:
        node: its first node.
    """

    def __init__(self, trie: Trie, node: int) -> None:
        self.trie = trie
        self.node = node
        self.local = trie.first_accesses
        self.early = 0
        """The number of local accesses before the next step that are done already."""
        self.buffer: list[bool] = []
        """The waiting stores of its store buffer; True for a store to shared memory."""


class _Schedule:
    """Writes a path as a schedule: turns with numbers of accesses."""

    def __init__(self, found: Exploration, model: MemoryModel) -> None:
        assert found.world is not None
        self.model = model
        self.counted = found.world.counted
        self.turns: list[Turn] = []
        self.threads = [_Thread(one, node) for one, node in zip(found.tries, found.roots, strict=True)]
        self.columns = found.columns

    def _accesses(self, thread: int, count: int) -> None:
        if count:
            self.turns.append(Turn(thread, count))

    def arrive(self, thread: int) -> None:
        """Do the local accesses that set page-table entries as early as possible."""
        position = self.threads[thread]
        position.early = position.local.early
        self._accesses(thread, position.early)
        if self.model == "tso":
            position.buffer = [] if position.local.drains else position.buffer
            position.buffer += [False] * position.local.stores
            if position.early:
                self.turns += [Turn(thread, flush=1)] * len(position.buffer)
                position.buffer = []

    def step(self, step: PathStep, may_arrive: bool) -> None:
        """Write one step of the path. `may_arrive`: whether the early accesses after it follow at once."""
        position = self.threads[step.thread]
        if step.flush:
            gone = position.buffer.index(True) + 1 if True in position.buffer else 1
            self.turns += [Turn(step.thread, flush=step.flush)] * gone
            position.buffer = position.buffer[gone:]
            return
        tables = position.trie.tables
        what = int(tables.table[position.node, WHAT]) & 0xFF
        here = what not in _UNCOUNTED and self.counted(8 * self.columns[int(tables.table[position.node, COLUMN])])
        self._accesses(step.thread, position.local.all - position.early + (here and not step.choice))
        if step.choice:
            waits = what in s.LATE
            self.turns.append(Turn(step.thread, 1, older=0 if waits else step.choice, waits=waits))
        if what in s.PLAIN_STORES:
            position.buffer.append(True)
        elif what not in _UNCOUNTED and what != s.LOAD:
            position.buffer = []
        position.early = 0
        if step.link < 0:
            return
        position.node = int(tables.links[step.link, CHILD])
        position.local = position.trie.local_accesses.get(step.link, LocalAccesses())
        if may_arrive:
            self.arrive(step.thread)


def turns_of(
    found: Exploration, path: Sequence[PathStep], model: MemoryModel = "sc", quiescent: bool = False
) -> list[Turn]:
    """A path of a search as the turns of a schedule.

    Args:
        found: the result of the search.
        path: the turns of its states.
        model: of the search.
        quiescent: whether every thread is between two operations at the end.
    """
    assert found.world is not None
    schedule = _Schedule(found, model)
    last = {step.thread: i for i, step in enumerate(path) if not step.flush}
    for thread in range(len(found.world.programs)):
        if not quiescent or thread in last:
            schedule.arrive(thread)
    for i, step in enumerate(path):
        schedule.step(step, not quiescent or last.get(step.thread) != i)
    return schedule.turns


def counterexample(found: Exploration, broken: Broken, attack: str, model: MemoryModel) -> Counterexample | None:
    """The counterexample of a violation; None if the interpreted engine does not confirm it.

    Args:
        found: the result of a search.
        broken: one of its violations.
        attack: the name of the attack.
        model: of the search.
    """
    world = found.world
    assert world is not None
    quiescent = broken.quiescent
    turns = turns_of(found, broken.path, model, quiescent is not None)
    if broken.thread >= 0:
        turns.append(Turn(broken.thread, TO_THE_END))
    operations = world.operations
    if quiescent is not None:
        operations = tuple(done[:count] for done, count in zip(operations, quiescent, strict=True))
    example = Counterexample(
        policy=world.scheme.name,
        attack=attack,
        law=broken.violation.law,
        claim=broken.violation.claim,
        message=str(broken.violation),
        shape={name: int(value) for name, value in asdict(world.shape).items()},
        setup=[operation.text for operation in world.setup],
        threads=[[operation.text for operation in thread] for thread in operations],
        schedule=schedule_text(turns),
        memory_model=model,
    )
    return _confirmed(example, found)


def _confirmed(example: Counterexample, found: Exploration) -> Counterexample | None:
    """The counterexample with a law that breaks when it is played; the expected law, if that is among them."""
    assert found.world is not None
    try:
        timeline = play(example, found.world.scheme)
    except FolioLabError:
        return None
    same = [one for one in timeline.violations if one.law == example.law]
    for one in same or timeline.violations[:1]:
        return _with(example, one.law, one.claim, str(one) if not same else example.message)
    return None


def _with(example: Counterexample, law: str, claim: str, message: str) -> Counterexample:
    return msgspec.structs.replace(example, law=law, claim=claim, message=message)


def alone(scheme: Scheme, shape: Shape, operations: Sequence[Operation], attack: str) -> Counterexample | None:
    """The counterexample of a law that a sequence of whole operations breaks; None if none breaks."""
    example = Counterexample(
        policy=scheme.name,
        attack=attack,
        law="",
        claim="",
        message="",
        shape={name: int(value) for name, value in asdict(shape).items()},
        threads=[[operation.text for operation in operations]],
    )
    try:
        timeline = play(example, scheme)
    except FolioLabError:
        return None
    return next((_with(example, one.law, one.claim, str(one)) for one in timeline.violations), None)

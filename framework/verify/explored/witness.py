"""From a path of a search to a counterexample that the interpreted engine repeats.

A path is a list of steps that others can see. Between two of them a thread does accesses to its own memory, of which
a schedule counts some; here they get their place: what makes a page-table entry map the folio comes at once, all else
just before the thread's next step.
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
from foliolab.framework.verify.counterexample import FLUSH, Counterexample, Turn, schedule_text
from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.exploration import Broken, Exploration, Step
from foliolab.framework.verify.explored.history import Lead
from foliolab.framework.verify.explored.nodes import CHILD, COLUMN, WHAT
from foliolab.framework.verify.explored.trie import Behaviour
from foliolab.framework.verify.playback import play

TO_THE_END: Final = 100_000
"""More accesses than any thread does."""
_UNCOUNTED: Final = frozenset({s.RELAX, s.BARRIER, s.MARK, s.DONE})


class _Thread:
    """A thread on its way along a path.

    Args:
        behaviour: what it does.
        node: where it starts.
    """

    def __init__(self, behaviour: Behaviour, node: int) -> None:
        self.behaviour = behaviour
        self.node = node
        self.lead = behaviour.first_lead
        self.early = 0
        """How many of the accesses before its next step it has done."""
        self.buffer: list[bool] = []
        """What waits in its store buffer; True: a store that others can see."""


class _Schedule:
    """Writes down whose turn it is for how many accesses."""

    def __init__(self, found: Exploration, tso: bool) -> None:
        assert found.world is not None
        self.tso = tso
        self.counted = found.world.counted
        self.turns: list[Turn] = []
        self.threads = [_Thread(one, node) for one, node in zip(found.behaviours, found.roots, strict=True)]
        self.columns = found.columns

    def _accesses(self, thread: int, count: int) -> None:
        if count:
            self.turns.append((thread, count))

    def arrive(self, thread: int) -> None:
        """Do at once what makes page-table entries map the folio."""
        mine = self.threads[thread]
        mine.early = mine.lead.early
        self._accesses(thread, mine.early)
        if self.tso:
            mine.buffer = [] if mine.lead.drains else mine.buffer
            mine.buffer += [False] * mine.lead.stores
            if mine.early:
                self.turns += [(thread, FLUSH)] * len(mine.buffer)
                mine.buffer = []

    def step(self, step: Step, may_arrive: bool) -> None:
        """One step of the path; `may_arrive`: whether to do at once what comes early after it."""
        mine = self.threads[step.thread]
        if step.flushes:
            gone = mine.buffer.index(True) + 1 if True in mine.buffer else 1
            self.turns += [(step.thread, FLUSH)] * gone
            mine.buffer = mine.buffer[gone:]
            return
        tables = mine.behaviour.tables
        what = int(tables.table[mine.node, WHAT]) & 0xFF
        here = what not in _UNCOUNTED and self.counted(8 * self.columns[int(tables.table[mine.node, COLUMN])])
        self._accesses(step.thread, mine.lead.all - mine.early + here)
        if what in s.PLAIN_STORES:
            mine.buffer.append(True)
        elif what not in _UNCOUNTED and what != s.LOAD:
            mine.buffer = []
        mine.early = 0
        if step.link < 0:
            return
        mine.node = int(tables.links[step.link, CHILD])
        mine.lead = mine.behaviour.leads.get(step.link, Lead())
        if may_arrive:
            self.arrive(step.thread)


def counterexample(found: Exploration, broken: Broken, attack: str, tso: bool) -> Counterexample | None:
    """The counterexample of a broken law, as the interpreted engine confirms it; None: it does not.

    Args:
        found: what an exploration found.
        broken: one of the laws that broke.
        attack: who found it.
        tso: whether stores waited in store buffers.
    """
    world = found.world
    assert world is not None
    quiet = broken.quiet
    schedule = _Schedule(found, tso)
    last = {step.thread: i for i, step in enumerate(broken.path) if not step.flushes}
    for thread in range(len(world.programs)):
        if quiet is None or thread in last:
            schedule.arrive(thread)
    for i, step in enumerate(broken.path):
        schedule.step(step, quiet is None or last.get(step.thread) != i)
    if broken.thread >= 0:
        schedule.turns.append((broken.thread, TO_THE_END))
    operations = world.operations
    if quiet is not None:
        operations = tuple(mine[:count] for mine, count in zip(operations, quiet, strict=True))
    example = Counterexample(
        policy=world.scheme.name,
        attack=attack,
        law=broken.violation.law,
        claim=broken.violation.claim,
        message=str(broken.violation),
        shape={name: int(value) for name, value in asdict(world.shape).items()},
        setup=[operation.text for operation in world.setup],
        threads=[[operation.text for operation in mine] for mine in operations],
        schedule=schedule_text(schedule.turns),
        memory_model="tso" if tso else "sc",
    )
    return _confirmed(example, found)


def _confirmed(example: Counterexample, found: Exploration) -> Counterexample | None:
    """The counterexample with what really breaks when it is repeated; the law that was seen, if it is among that."""
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
    """The counterexample of a law that whole operations break, one after the other; None: none breaks."""
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

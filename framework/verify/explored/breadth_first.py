"""The exhaustive search, compiled: breadth-first over all states, so the first path to a violation is a shortest one.

Native code has no exceptions, no objects and no callbacks here. All data are arrays, and the search returns to Python
whenever Python has something to do: to extend a trie, to judge states, to grow the hash table, or to look at the clock.
`ctl` holds everything that the search needs to continue.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.verify.explored import nodes, persistent, stepping
from foliolab.framework.verify.explored import steps as s

CONTROLS: Final = 18
(
    POSITION, TURN, COUNT, TRANSITIONS, DEPTH, LEVEL_END, QUOTA, ENABLED, WANTED_NODE, WANTED_ANSWER, BROKEN, QUIESCENT,
    CANONICAL, GIVEN, REFERENCES, REDUCES, EXPANDED, WANTED_TURN,
) = range(CONTROLS)  # fmt: skip
"""Elements of `ctl`: the state that is expanded, and the next turn; the numbers of states and transitions; the depth,
and the first state of the next level; transitions until the search returns; whether the present state has a successor,
or a value that does not fit; the node and the result whose link is missing; the numbers of noted violations and
quiescent states; whether threads are interchangeable; the truth that the set-up leaves (`World.given`); where the
folio's reference count is (see `stepping.is_claimed`); whether the search reduces (see `persistent`); the threads of
the present state that are expanded; the thread whose link is missing."""

FINISHED, NEEDS_LINK, FULL, PAUSED, NEEDS_REHASH = range(5)
"""Why a search returns: all states are expanded; a link is missing; the memory for states is full; the quota is used
up, or notes must be taken; the hash table is half full."""

BROKEN_WIDTH: Final = 4
"""Columns of a noted violation: its kind, the state before, the turn, the link."""
DEADLOCK: Final = 16
TOO_WIDE: Final = 32
SHARED_REUSE: Final = 64
CLAIMED_REUSE: Final = 128
"""Kinds of violations, beside the link flags EXCLUSIVE, LOST and FAULT."""
PARENT_SHIFT: Final = 4
_ROOM: Final = 8


def hashed(state: Any, at: int, width: int) -> int:
    """The hash of a state."""
    found = 0x1B873593
    for i in range(width):
        found = (found ^ state[at, i]) * 0x2545F4914F6CDD1D
        found ^= found >> 29 & 0x7FFFFFFFF
    return found


def insert(state: Any, table: Any, at: int, width: int) -> bool:
    """Put the state in row `at` into the hash table; return whether it is new."""
    code = hashed(state, at, width)
    last = table.size - 1
    tag = code >> 40 & 0x7FFFFF
    slot = code & last
    while table[slot] != 0:
        if table[slot] >> 40 == tag:
            other = (table[slot] & stepping.NODE_MASK) - 1
            i = 0
            while i < width and state[other, i] == state[at, i]:
                i += 1
            if i == width:
                return False
        slot = (slot + 1) & last
    table[slot] = tag << 40 | (at + 1)
    return True


def rehash(state: Any, table: Any, first: int, count: int) -> int:
    """Put the states of rows `first` to `count` - 1, all different, into an empty part of the hash table."""
    width = state.shape[1]
    last = table.size - 1
    for at in range(first, count):
        code = hashed(state, at, width)
        slot = code & last
        while table[slot] != 0:
            slot = (slot + 1) & last
        table[slot] = (code >> 40 & 0x7FFFFF) << 40 | (at + 1)
    return 0


def arrange(row: Any, at: int, words: int, same: Any) -> None:
    """Sort interchangeable threads by their nodes: the canonical form of a state."""
    for a in range(same.size):
        for b in range(a + 1, same.size):
            if same[a] == same[b] and row[at, words + a] > row[at, words + b]:
                row[at, words + a], row[at, words + b] = row[at, words + b], row[at, words + a]


def is_over(row: Any, at: int, words: int, threads: int, node: Any) -> bool:
    """Whether all threads have ended, or one has ended by an error."""
    for t in range(words, words + threads):
        what = node[row[at, t] & stepping.NODE_MASK, nodes.WHAT]
        if what >> nodes.DEAD_AT & 1:
            return True
        if what & 0xFF != s.DONE:
            return False
    return True


def is_quiescent(row: Any, at: int, words: int, threads: int, node: Any) -> bool:
    """Whether every thread is between two operations and all store buffers are empty."""
    for t in range(words, words + threads):
        if node[row[at, t] & stepping.NODE_MASK, nodes.WHAT] >> nodes.BETWEEN_AT & 1 == 0:
            return False
    for i in range(words + threads + 1, row.shape[1]):
        if row[at, i] != 0:
            return False
    return True


def broken_by(
    row: Any, at: int, words: int, threads: int, node: Any, before: int, truth: int, given: int, flags: int
) -> int:
    """The kinds of violations at a link with flags.

    Args:
        row, at: the state after the link.
        before: the thread's column before the link.
        truth: see `truth_of`; before the link.
        given: see `truth_of`.
        flags: of the link.
    """
    found = flags & (nodes.LOST | nodes.FAULT)
    asked = node[before & stepping.NODE_MASK, nodes.WHAT] >> nodes.ASKS_AT & 1
    shared = before & stepping.SHARED_ALL_ALONG != 0 if asked else stepping.mappers_of(truth) > 1
    if flags & nodes.EXCLUSIVE and shared:
        found |= nodes.EXCLUSIVE
    if flags & nodes.REUSED:
        now = stepping.truth_of(row, at, words, threads, node, given)
        if stepping.mappers_of(now) > 1:
            found |= SHARED_REUSE
        elif asked and before & stepping.CLAIMED_ALL_ALONG != 0:
            found |= CLAIMED_REUSE
    return found


def note(broken: Any, ctl: Any, kind: int, at: int, turn: int, link: int) -> None:
    """Note a violation, if there is room."""
    if ctl[BROKEN] < broken.shape[0]:
        k = ctl[BROKEN]
        broken[k, 0] = kind
        broken[k, 1] = at
        broken[k, 2] = turn
        broken[k, 3] = link
        ctl[BROKEN] = k + 1


def preemption(row: Any, at: int, scratch: int, words: int, threads: int, depth: int, tables: Any, turn: int) -> int:
    """The column of the preemption bound after a turn: the thread and, above, the number of preemptions so far.

    A switch counts as a preemption only if the previous thread is inside an operation and could go on.
    """
    node, waits, out = tables
    was: int = row[at, words + threads]
    current = (was & 0xFF) - 1
    used = was >> 8
    if current >= 0 and current != turn:
        for i in range(row.shape[1]):
            row[scratch, i] = row[at, i]
        n = row[at, words + current] & stepping.NODE_MASK
        between = node[n, nodes.WHAT] >> nodes.BETWEEN_AT & 1
        buffer = words + threads + 1 + 2 * depth * current
        if between == 0 and stepping.do_step(row, scratch, buffer, depth, node, waits, n, out) != stepping.BLOCKED:
            used += 1
    return used << 8 | (turn + 1)


def want(ctl: Any, node: int, answer: int, turn: int) -> None:
    """Ask for the link of a node."""
    ctl[WANTED_NODE] = node
    ctl[WANTED_ANSWER] = answer
    ctl[WANTED_TURN] = turn


def successor(state: Any, tables: Any, broken: Any, ctl: Any, shape: tuple[int, int, int, int], turn: int) -> int:
    """Put the successor of the present state by one turn into the first free row.

    Args:
        tables: nodes, links, waits, and an array for the result of a step.
        shape: shared words, threads, depth of store buffers, preemption bound (below 0: none).
        turn: a thread, or, from `threads` on, a store buffer to flush.

    Returns:
        0, BLOCKED (no successor) or UNKNOWN (the thread's next link is missing).
    """
    node, links, waits, out = tables
    words, threads, depth, bound = shape
    at, free = ctl[POSITION], ctl[COUNT]
    whose = turn % threads
    buffer = words + threads + 1 + 2 * depth * whose
    current = 0
    if bound >= 0:
        current = preemption(state, at, free, words, threads, depth, (node, waits, out), whose)
        if current >> 8 > bound:
            return stepping.BLOCKED
    for i in range(state.shape[1]):
        state[free, i] = state[at, i]
    if bound >= 0:
        state[free, words + threads] = current
    if turn >= threads:
        return 0 if stepping.flush(state, free, buffer, depth) else stepping.BLOCKED
    before = state[at, words + turn]
    n = before & stepping.NODE_MASK
    could = stepping.do_step(state, free, buffer, depth, node, waits, n, out)
    if could == stepping.OVERFLOW:
        note(broken, ctl, TOO_WIDE, at, turn, 0)
        ctl[ENABLED] = 1  # the path ends here, but not because threads wait
    if could != 0:
        return stepping.BLOCKED
    link = stepping.find_link(node, links, n, out[0])
    if link == stepping.UNKNOWN:
        want(ctl, n, out[0], turn)
        return stepping.UNKNOWN
    given = ctl[GIVEN]
    truth = stepping.truth_of(state, at, words, threads, node, given)
    stepping.move(state, free, words, threads, words + turn, node, links, link, given, ctl[REFERENCES])
    if links[link, nodes.FLAGS] != 0:
        kind = broken_by(state, free, words, threads, node, before, truth, given, links[link, nodes.FLAGS])
        if kind != 0:
            note(broken, ctl, kind, at, turn, link)
    return 0


def force(state: Any, tables: Any, masks: Any, ctl: Any, words: int, threads: int) -> int:
    """Do the next step of the state in the first free row, if only one thread of it must be expanded.

    Args:
        tables: see `successor`.
        masks: see `persistent`: own, future and locks.

    Returns:
        the thread; BLOCKED if several threads must be expanded, or if the step may break a law, which leaves the state
        as it was; UNKNOWN if the thread's next link is missing.
    """
    node, links, waits, out = tables
    own, future, locks = masks
    at = ctl[COUNT]
    only = persistent.persistent(state, at, words, threads, node, waits, own, future, locks)
    turn = 0
    while only >> turn & 1 == 0:
        turn += 1
    if only != 1 << turn or threads == 1:
        return stepping.BLOCKED
    n = state[at, words + turn] & stepping.NODE_MASK
    column = node[n, nodes.COLUMN]
    before = state[at, column]
    if stepping.do_step(state, at, 0, 0, node, waits, n, out) != 0:
        return stepping.BLOCKED
    link = stepping.find_link(node, links, n, out[0])
    if link == stepping.UNKNOWN:
        want(ctl, n, out[0], turn)
        return stepping.UNKNOWN
    if links[link, nodes.FLAGS] != 0:
        state[at, column] = before
        return stepping.BLOCKED
    stepping.move(state, at, words, threads, words + turn, node, links, link, ctl[GIVEN], ctl[REFERENCES])
    return turn


def force_all(state: Any, tables: Any, masks: Any, ctl: Any, words: int, threads: int) -> int:
    """Do the next steps of the state in the first free row as long as `force` does; BLOCKED or UNKNOWN, as there."""
    steps = 0
    turn = 0
    while turn >= 0:
        turn = force(state, tables, masks, ctl, words, threads)
        if turn >= 0:
            steps += 1
    if turn == stepping.BLOCKED:
        ctl[TRANSITIONS] += steps
        ctl[QUOTA] -= steps
    return turn


def expanded(state: Any, tables: Any, masks: Any, ctl: Any, words: int, threads: int) -> int:
    """The threads of the present state that the search expands: a mask."""
    if ctl[REDUCES] == 0:
        return -1
    node, _, waits, _ = tables
    own, future, locks = masks
    return persistent.persistent(state, ctl[POSITION], words, threads, node, waits, own, future, locks)


def reduced(
    state: Any, tables: Any, masks: Any, broken: Any, ctl: Any, shape: tuple[int, int, int, int], turn: int
) -> int:  # fmt: skip
    """Like `successor`, but with the steps that `force_all` does after it; BLOCKED if the turn is not expanded."""
    if ctl[EXPANDED] >> turn & 1 == 0:
        return stepping.BLOCKED
    noted = ctl[BROKEN]
    followed = successor(state, tables, broken, ctl, shape, turn)
    if ctl[REDUCES] and followed == 0 and noted == ctl[BROKEN]:
        words, threads, _, _ = shape
        if force_all(state, tables, masks, ctl, words, threads) == stepping.UNKNOWN:
            followed = stepping.UNKNOWN
    return followed


def keep(
    state: Any, table: Any, parent: Any, quiescent: Any, node: Any, ctl: Any, words: int, threads: int, turn: int
) -> None:
    """Count a transition, and keep the state that it local_accesses to if it is new."""
    ctl[ENABLED] = 1
    ctl[TRANSITIONS] += 1
    ctl[QUOTA] -= 1
    free = ctl[COUNT]
    if insert(state, table, free, state.shape[1]):
        parent[free] = ctl[POSITION] << PARENT_SHIFT | turn
        if is_quiescent(state, free, words, threads, node):
            quiescent[ctl[QUIESCENT]] = free
            ctl[QUIESCENT] += 1
        ctl[COUNT] = free + 1


def why_return(state: Any, table: Any, quiescent: Any, ctl: Any) -> int:
    """The reason to return before the next state is expanded; FINISHED for none."""
    if ctl[COUNT] + _ROOM > state.shape[0]:
        return FULL
    if 2 * (ctl[COUNT] + _ROOM) > table.size:
        return NEEDS_REHASH
    if ctl[QUOTA] <= 0 or ctl[QUIESCENT] + _ROOM >= quiescent.size or ctl[BROKEN] > 0:
        return PAUSED
    return FINISHED


def search(  # noqa: PLR0913  (native code takes arrays one by one)
    state: Any, node: Any, links: Any, waits: Any, broken: Any, table: Any, parent: Any, quiescent: Any, same: Any,
    ctl: Any, out: Any, own: Any, future: Any, locks: Any, words: int, depth: int, bound: int,
) -> int:  # fmt: skip
    """Continue a search.

    Args:
        state: one row per state; the first ctl[COUNT] are known.
        node, links, waits: see `nodes`.
        broken, quiescent: notes for Python: violations, and quiescent states.
        table: the hash table of states; its size is a power of two.
        parent: for each state the state before it and the turn between them.
        same: the class of each thread; if ctl[CANONICAL], threads of a class are interchangeable.
        ctl: see CONTROLS.
        out: receives the result of a step.
        own, future, locks: see `Footprints`; used if ctl[REDUCES].
        words: the number of shared words.
        depth: of store buffers; 0 for none.
        bound: on preemptions; below 0 for none.

    Returns:
        why the search returns (see FINISHED).
    """
    threads = same.size
    turns = 2 * threads if depth else threads
    tables, masks = (node, links, waits, out), (own, future, locks)
    while ctl[POSITION] < ctl[COUNT]:
        if ctl[TURN] == 0:
            why = why_return(state, table, quiescent, ctl)
            if why != FINISHED:
                return why
            if ctl[POSITION] == ctl[LEVEL_END]:
                ctl[DEPTH] += 1
                ctl[LEVEL_END] = ctl[COUNT]
            ctl[ENABLED] = 0
            ctl[EXPANDED] = expanded(state, tables, masks, ctl, words, threads)
        while ctl[TURN] < turns:
            turn = ctl[TURN]
            followed = reduced(state, tables, masks, broken, ctl, (words, threads, depth, bound), turn)
            if followed == stepping.UNKNOWN:
                return NEEDS_LINK
            ctl[TURN] = turn + 1
            if followed != stepping.BLOCKED:
                if ctl[CANONICAL]:
                    arrange(state, ctl[COUNT], words, same)
                keep(state, table, parent, quiescent, node, ctl, words, threads, turn)
        if ctl[ENABLED] == 0 and not is_over(state, ctl[POSITION], words, threads, node):
            note(broken, ctl, DEADLOCK, ctl[POSITION], 0, 0)
        ctl[TURN] = 0
        ctl[POSITION] += 1
    return FINISHED


def follow(  # noqa: PLR0913  (native code takes arrays one by one)
    state: Any, node: Any, links: Any, waits: Any, broken: Any, same: Any, ctl: Any, out: Any, words: int, depth: int,
    turn: int,
) -> int:  # fmt: skip
    """Put the successor of row ctl[POSITION] by one turn into row ctl[COUNT] (see `successor`)."""
    return successor(state, (node, links, waits, out), broken, ctl, (words, same.size, depth, -1), turn)


def pursue(  # noqa: PLR0913  (native code takes arrays one by one)
    state: Any, node: Any, links: Any, waits: Any, ctl: Any, out: Any, own: Any, future: Any, locks: Any, words: int,
    threads: int,
) -> int:  # fmt: skip
    """See `force`."""
    return force(state, (node, links, waits, out), (own, future, locks), ctl, words, threads)

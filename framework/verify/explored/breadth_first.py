"""The exhaustive search, compiled: breadth first over all states, so that what it finds is as short as can be."""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.nodes import (
    ASKS_AT,
    DEAD_AT,
    EXCLUSIVE,
    FAULT,
    FLAGS,
    HELD_AT,
    LOST,
    QUIET_AT,
    REUSED,
    WHAT,
)
from foliolab.framework.verify.explored.stepping import (
    BLOCKED,
    HELD_ALL_ALONG,
    NODE_MASK,
    OVERFLOW,
    SHARED_ALL_ALONG,
    UNKNOWN,
    do_step,
    find_link,
    flush,
    move,
    truth_of,
)

CONTROLS: Final = 14
(
    POSITION, TURN, COUNT, TRANSITIONS, DEPTH, LEVEL_END, QUOTA, ENABLED, WANTED_NODE, WANTED_ANSWER, BROKEN, QUIET,
    CANONICAL, GIVEN,
) = range(CONTROLS)  # fmt: skip
"""What a search keeps between two calls: the state it expands and whose turn it is; states and transitions so far;
the depth and where it ends; transitions until it is to return; whether somebody could go on; the answer it has to be
told what follows; how many broken laws and quiet states it has noted; whether threads are interchangeable; and
the truth that the set-up left (`World.given`)."""

FINISHED, WANTS, FULL, PAUSED, CROWDED = range(5)
"""Why a search returns: all states seen; a link is missing; no room for states; its quota is used up, or what it has
noted is to be taken; the hash table is half full."""

BROKEN_WIDTH: Final = 4
"""What is noted of a broken law: the sort, the state before, the thread, the link."""
DEADLOCK: Final = 16
TOO_WIDE: Final = 32
SHARED_REUSE: Final = 64
HELD_REUSE: Final = 128
"""Sorts of broken laws beside those that links bring: EXCLUSIVE, LOST and FAULT."""
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
    """Put the state in row `at` into the hash table; False if it is known."""
    code = hashed(state, at, width)
    last = table.size - 1
    tag = code >> 40 & 0x7FFFFF
    slot = code & last
    while table[slot] != 0:
        if table[slot] >> 40 == tag:
            other = (table[slot] & NODE_MASK) - 1
            i = 0
            while i < width and state[other, i] == state[at, i]:
                i += 1
            if i == width:
                return False
        slot = (slot + 1) & last
    table[slot] = tag << 40 | (at + 1)
    return True


def rehash(state: Any, table: Any, first: int, count: int) -> int:
    """Put the states from the first up to that count into the hash table; they are not yet in it."""
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
    """Put interchangeable threads into the order of their nodes."""
    for a in range(same.size):
        for b in range(a + 1, same.size):
            if same[a] == same[b] and row[at, words + a] > row[at, words + b]:
                row[at, words + a], row[at, words + b] = row[at, words + b], row[at, words + a]


def is_over(row: Any, at: int, words: int, threads: int, node: Any) -> bool:
    """Whether no thread has anything left to do, or one has come to an end that it should not have."""
    for t in range(words, words + threads):
        what = node[row[at, t] & NODE_MASK, WHAT]
        if what >> DEAD_AT & 1:
            return True
        if what & 0xFF != s.DONE:
            return False
    return True


def is_quiet(row: Any, at: int, words: int, threads: int, node: Any) -> bool:
    """Whether every thread is between two operations and nothing waits in a store buffer."""
    for t in range(words, words + threads):
        if node[row[at, t] & NODE_MASK, WHAT] >> QUIET_AT & 1 == 0:
            return False
    for i in range(words + threads + 1, row.shape[1]):
        if row[at, i] != 0:
            return False
    return True


def broken_by(
    row: Any, at: int, words: int, threads: int, node: Any, before: int, truth: int, given: int, flags: int
) -> int:
    """Which laws an end breaks that a link brings.

    Args:
        row, at: the state after it.
        before: what the thread's column was before.
        truth: what held before.
        given: see `truth_of`.
        flags: the link's.
    """
    found = flags & (LOST | FAULT)
    asked = node[before & NODE_MASK, WHAT] >> ASKS_AT & 1
    shared = before & SHARED_ALL_ALONG != 0 if asked else truth & ((1 << HELD_AT) - 1) > 1
    if flags & EXCLUSIVE and shared:
        found |= EXCLUSIVE
    if flags & REUSED:
        now = truth_of(row, at, words, threads, node, given)
        if now & ((1 << HELD_AT) - 1) > 1:
            found |= SHARED_REUSE
        elif asked and before & HELD_ALL_ALONG != 0:
            found |= HELD_REUSE
    return found


def note(broken: Any, ctl: Any, sort: int, at: int, turn: int, link: int) -> None:
    """Remember a broken law, as far as there is room."""
    if ctl[BROKEN] < broken.shape[0]:
        k = ctl[BROKEN]
        broken[k, 0] = sort
        broken[k, 1] = at
        broken[k, 2] = turn
        broken[k, 3] = link
        ctl[BROKEN] = k + 1


def preemption(row: Any, at: int, scratch: int, words: int, threads: int, depth: int, tables: Any, turn: int) -> int:
    """How the column of the preemption bound reads after that thread's turn: the thread, and preemptions above.

    It is none where the thread before is done with an operation, or cannot go on.
    """
    node, waits, out = tables
    was: int = row[at, words + threads]
    current = (was & 0xFF) - 1
    used = was >> 8
    if current >= 0 and current != turn:
        for i in range(row.shape[1]):
            row[scratch, i] = row[at, i]
        n = row[at, words + current] & NODE_MASK
        between = node[n, WHAT] >> QUIET_AT & 1
        buffer = words + threads + 1 + 2 * depth * current
        if between == 0 and do_step(row, scratch, buffer, depth, node, waits, n, out) != BLOCKED:
            used += 1
    return used << 8 | (turn + 1)


def successor(state: Any, tables: Any, broken: Any, ctl: Any, shape: tuple[int, int, int, int], turn: int) -> int:
    """Put what follows from one turn into the first free row.

    Args:
        tables: nodes, links and waits, and a place for an answer.
        shape: shared words, threads, depth of store buffers, preemption bound (below 0: none).
        turn: a thread, or, behind the last one, a store buffer to flush.

    Returns:
        0, BLOCKED (nothing follows), or UNKNOWN: it is not known what the thread does then.
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
            return BLOCKED
    for i in range(state.shape[1]):
        state[free, i] = state[at, i]
    if bound >= 0:
        state[free, words + threads] = current
    if turn >= threads:
        return 0 if flush(state, free, buffer, depth) else BLOCKED
    before = state[at, words + turn]
    n = before & NODE_MASK
    could = do_step(state, free, buffer, depth, node, waits, n, out)
    if could == OVERFLOW:
        note(broken, ctl, TOO_WIDE, at, turn, 0)
    if could != 0:
        return BLOCKED
    link = find_link(node, links, n, out[0])
    if link == UNKNOWN:
        ctl[WANTED_NODE] = n
        ctl[WANTED_ANSWER] = out[0]
        return UNKNOWN
    given = ctl[GIVEN]
    truth = truth_of(state, at, words, threads, node, given)
    move(state, free, words, threads, words + turn, node, links, link, given)
    if links[link, FLAGS] != 0:
        sort = broken_by(state, free, words, threads, node, before, truth, given, links[link, FLAGS])
        if sort != 0:
            note(broken, ctl, sort, at, turn, link)
    return 0


def keep(
    state: Any, table: Any, parent: Any, quiet: Any, node: Any, ctl: Any, words: int, threads: int, turn: int
) -> None:
    """Count a transition, and keep the state that it leads to if it is new."""
    ctl[ENABLED] = 1
    ctl[TRANSITIONS] += 1
    ctl[QUOTA] -= 1
    free = ctl[COUNT]
    if insert(state, table, free, state.shape[1]):
        parent[free] = ctl[POSITION] << PARENT_SHIFT | turn
        if is_quiet(state, free, words, threads, node):
            quiet[ctl[QUIET]] = free
            ctl[QUIET] += 1
        ctl[COUNT] = free + 1


def why_return(state: Any, table: Any, quiet: Any, ctl: Any) -> int:
    """Why a search is to return before it expands its next state; FINISHED: it is not."""
    if ctl[COUNT] + _ROOM > state.shape[0]:
        return FULL
    if 2 * (ctl[COUNT] + _ROOM) > table.size:
        return CROWDED
    if ctl[QUOTA] <= 0 or ctl[QUIET] + _ROOM >= quiet.size or ctl[BROKEN] > 0:
        return PAUSED
    return FINISHED


def search(  # noqa: PLR0913  (native code takes arrays one by one)
    state: Any, node: Any, links: Any, waits: Any, broken: Any, table: Any, parent: Any, quiet: Any, same: Any,
    ctl: Any, out: Any, words: int, depth: int, bound: int,
) -> int:  # fmt: skip
    """Go on with a search until it is done, or something is needed.

    Args:
        state: a row each state; the first ctl[COUNT] are known.
        node, links, waits: see `nodes`.
        broken, quiet: what it notes: broken laws, and states in which every thread is between two operations.
        table: the hash table of states, a power of two.
        parent: of each state: the state before and whose turn led here.
        same: the sort of each thread; threads of the same sort are interchangeable where ctl[CANONICAL] says so.
        ctl: see CONTROLS.
        out: room for an answer.
        words: shared words.
        depth: of store buffers; 0: none.
        bound: on preemptions; below 0: none.

    Returns:
        why it returns (see FINISHED).
    """
    threads = same.size
    turns = 2 * threads if depth else threads
    tables = (node, links, waits, out)
    while ctl[POSITION] < ctl[COUNT]:
        if ctl[TURN] == 0:
            why = why_return(state, table, quiet, ctl)
            if why != FINISHED:
                return why
            if ctl[POSITION] == ctl[LEVEL_END]:
                ctl[DEPTH] += 1
                ctl[LEVEL_END] = ctl[COUNT]
            ctl[ENABLED] = 0
        while ctl[TURN] < turns:
            turn = ctl[TURN]
            followed = successor(state, tables, broken, ctl, (words, threads, depth, bound), turn)
            if followed == UNKNOWN:
                return WANTS
            ctl[TURN] = turn + 1
            if followed != BLOCKED:
                if ctl[CANONICAL]:
                    arrange(state, ctl[COUNT], words, same)
                keep(state, table, parent, quiet, node, ctl, words, threads, turn)
        if ctl[ENABLED] == 0 and not is_over(state, ctl[POSITION], words, threads, node):
            note(broken, ctl, DEADLOCK, ctl[POSITION], 0, 0)
        ctl[TURN] = 0
        ctl[POSITION] += 1
    return FINISHED


def follow(  # noqa: PLR0913  (native code takes arrays one by one)
    state: Any, node: Any, links: Any, waits: Any, broken: Any, same: Any, ctl: Any, out: Any, words: int, depth: int,
    turn: int,
) -> int:  # fmt: skip
    """One turn from the state in row ctl[POSITION], put into row ctl[COUNT]: see `successor`."""
    return successor(state, (node, links, waits, out), broken, ctl, (words, same.size, depth, -1), turn)

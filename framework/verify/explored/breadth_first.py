"""The exhaustive search, compiled: breadth-first over all states, so the first path to a violation is a shortest one.

Native code has no exceptions, no objects and no callbacks here. All data are arrays, and the search returns to Python
whenever Python has something to do: to extend a trie, to judge states, to grow the hash table, or to look at the clock.
`ctl` holds everything that the search needs to continue.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.verify.explored import (
    nodes,
    persistent,
    sleeping,
    state_table,
    stepping,
    weak_memory,
    write_logs,
)
from foliolab.framework.verify.explored import steps as s

CONTROLS: Final = 27
(
    POSITION, TURN, COUNT, TRANSITIONS, DEPTH, LEVEL_END, QUOTA, ENABLED, WANTED_NODE, WANTED_ANSWER, BROKEN, QUIESCENT,
    CANONICAL, REFERENCES, REDUCES, EXPANDED, NEXT, WANTED_TURN, FRONT, AGAIN, BUSY, ASLEEP, NEXT_ASLEEP,
) = range(stepping.TABLES + 1, CONTROLS)  # fmt: skip
"""Elements of `ctl` behind those of `stepping`: the state that is expanded, and the next turn; the numbers of states
and transitions; the depth, and the first state of the next level; transitions until the search returns; whether the
present state has a successor, or a value that does not fit; the node and the result whose link is missing; the numbers
of noted violations and quiescent states; whether threads are interchangeable; where the folio's reference count is (see
`stepping.is_claimed`); 1 if the search reduces by persistent sets, 2 if by sleep sets, too; the threads of the present
state that are expanded, and those of its successor; the thread whose link is missing; the first state that was never
expanded; the number of the last state that must be expanded once more, counted from 1, or 0; whether a state is being
expanded; the threads that sleep in the present state, and those in its successor (see `sleeping`)."""

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
PARENT_SHIFT: Final = 8
EXPANDED_SHIFT: Final = 52
SLEEP_SHIFT: Final = 56
EVERYONE: Final = 0xF
"""A state's `parent`: the turn that led to it, the state before from PARENT_SHIFT on, from EXPANDED_SHIFT on the
threads that must be expanded, and from SLEEP_SHIFT on those that sleep."""
AGAIN_SHIFT: Final = 4
"""A state's `again`: the threads that have woken up since it was expanded, and from AGAIN_SHIFT on the number of the
next such state."""
SECOND: Final = 4
"""The first bit of the second of two masks of threads."""
_ROOM: Final = 8


def arrange(row: Any, at: int, words: int, same: Any, mask: int) -> int:
    """Sort interchangeable threads by their nodes: the canonical form of a state.

    Args:
        mask: two masks of threads, the second from SECOND on.

    Returns:
        the masks of the same threads afterwards.
    """
    for a in range(same.size):
        for b in range(a + 1, same.size):
            if same[a] == same[b] and row[at, words + a] > row[at, words + b]:
                row[at, words + a], row[at, words + b] = row[at, words + b], row[at, words + a]
                for first in range(0, 2 * SECOND, SECOND):
                    if (mask >> first + a ^ mask >> first + b) & 1:
                        mask ^= (1 << a | 1 << b) << first
    return mask


def is_over(row: Any, at: int, words: int, threads: int, node: Any) -> bool:
    """Whether all threads have ended, or one has ended by an error."""
    for t in range(words, words + threads):
        what = node[row[at, t] & stepping.NODE_MASK, nodes.WHAT]
        if what >> nodes.DEAD_AT & 1:
            return True
        if what & 0xFF != s.DONE:
            return False
    return True


def is_deadlock(row: Any, at: int, words: int, threads: int, depth: int, node: Any) -> bool:
    """Whether a state without a successor is a deadlock."""
    return not is_over(row, at, words, threads, node) and not weak_memory.is_vain(row, at, words, threads, depth)


def is_quiescent(row: Any, at: int, words: int, threads: int, node: Any) -> bool:
    """Whether every thread is between two operations, and all store buffers and logs of writes are empty."""
    for t in range(words, words + threads):
        if node[row[at, t] & stepping.NODE_MASK, nodes.WHAT] >> nodes.BETWEEN_AT & 1 == 0:
            return False
    for i in range(words + threads + 1, row.shape[1]):
        if row[at, i] != 0:
            return False
    return True


def broken_by(
    row: Any, at: int, words: int, threads: int, node: Any, before: int, truth: int, ctl: Any, flags: int
) -> int:
    """The kinds of violations at a link with flags.

    Args:
        row, at: the state after the link.
        before: the thread's column before the link.
        truth: see `truth_of`; before the link.
        ctl: of the search.
        flags: of the link.
    """
    found = flags & (nodes.LOST | nodes.FAULT)
    asked = node[before & stepping.NODE_MASK, nodes.WHAT] >> nodes.ASKS_AT & 1
    shared = before & stepping.SHARED_ALL_ALONG != 0 if asked else stepping.mappers_of(truth) > 1
    if flags & nodes.EXCLUSIVE and shared:
        found |= nodes.EXCLUSIVE
    if flags & nodes.REUSED:
        now = stepping.truth_of(row, at, words, threads, node, ctl)
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


def preemption(
    row: Any, at: int, scratch: int, words: int, threads: int, depth: int, tables: Any, masks: Any, turn: int
) -> int:  # fmt: skip
    """The column of the preemption bound after a turn: the thread and, above, the number of preemptions so far.

    A switch counts as a preemption only if the previous thread is inside an operation and could go on.
    """
    node, waits, out = tables
    was: int = row[at, words + threads]
    current = (was & 0xFF) - 1
    used = was >> 8
    if current >= 0 and current != turn:
        copy(row, at, scratch)
        n = row[at, words + current] & stepping.NODE_MASK
        between = node[n, nodes.WHAT] >> nodes.BETWEEN_AT & 1
        could = do_step(
            row, scratch, (words, threads, depth, 0), node, waits, masks, n, current, weak_memory.NEWEST, out
        )
        if between == 0 and could != stepping.BLOCKED:
            used += 1
    return used << 8 | (turn + 1)


def do_step(
    row: Any, at: int, shape: tuple[int, int, int, int], node: Any, waits: Any, masks: Any, n: int, thread: int,
    choice: int, out: Any,
) -> int:  # fmt: skip
    """Do the step of node `n` of a thread under the memory model that the state is made for; see `stepping.do_step`."""
    words, threads, depth, _ = shape
    if row.shape[1] > write_logs.log_start(words, threads, depth):
        return weak_memory.do_step(row, at, words, threads, depth, node, waits, masks, n, thread, choice, out)
    return stepping.do_step(row, at, words + threads + 1 + 2 * depth * thread, depth, node, waits, n, out)


def step_of(
    state: Any, tables: Any, masks: Any, broken: Any, ctl: Any, shape: tuple[int, int, int, int], turn: int,
    choice: int, forced: bool,
) -> int:  # fmt: skip
    """Let a thread do its next step in the first free row; the link of the step, or why there is none.

    Args:
        tables, shape: see `successor`.
        choice: see `weak_memory.do_step`.
        forced: whether the step is not done if its link has flags.

    Returns:
        BLOCKED, with the row as it was; or UNKNOWN, if the link is missing.
    """
    node, links, waits, out = tables
    free = ctl[COUNT]
    n = state[free, shape[0] + turn] & stepping.NODE_MASK
    column = node[n, nodes.COLUMN]
    word = state[free, column]
    could = do_step(state, free, shape, node, waits, masks, n, turn, choice, out)
    if could == stepping.OVERFLOW:
        note(broken, ctl, TOO_WIDE, ctl[POSITION], weak_memory.turn_of(turn, choice, shape), 0)
        ctl[ENABLED] = 1  # the path ends here, but not because threads wait
    if could != 0:
        return stepping.BLOCKED
    link = stepping.find_link(node, links, n, out[0])
    if link == stepping.UNKNOWN:
        ctl[WANTED_NODE] = n
        ctl[WANTED_ANSWER] = out[0]
        ctl[WANTED_TURN] = turn
    elif forced and links[link, nodes.FLAGS] != 0:
        state[free, column] = word
        link = stepping.BLOCKED
    return link


def arrive(
    state: Any, tables: Any, masks: Any, broken: Any, ctl: Any, shape: tuple[int, int, int, int], turn: int,
    choice: int, link: int,
) -> None:  # fmt: skip
    """Move a thread along the link of its step in the first free row, and note what the step breaks."""
    node, links = tables[0], tables[1]
    words, threads, depth, _ = shape
    free = ctl[COUNT]
    before = state[free, words + turn]
    truth = stepping.truth_of(state, free, words, threads, node, ctl)
    stepping.move(state, free, words, threads, words + turn, node, links, link, ctl, ctl[REFERENCES])
    if links[link, nodes.FLAGS] != 0:
        kind = broken_by(state, free, words, threads, node, before, truth, ctl, links[link, nodes.FLAGS])
        if kind != 0:
            note(broken, ctl, kind, ctl[POSITION], weak_memory.turn_of(turn, choice, shape), link)
    if state.shape[1] > write_logs.log_start(words, threads, depth):
        write_logs.begin(state, free, words, threads, depth, node, masks[1], turn)


def flush(
    state: Any, at: int, shape: tuple[int, int, int, int], tables: Any, masks: Any, broken: Any, ctl: Any, turn: int
) -> int:  # fmt: skip
    """Let a waiting store take effect in the state in row `at`; 0 or BLOCKED. `turn`: see `successor`."""
    words, threads, depth, _ = shape
    thread = turn % threads
    if state.shape[1] == write_logs.log_start(words, threads, depth):
        done = stepping.flush(state, at, words + threads + 1 + 2 * depth * thread, depth)
        return 0 if done else stepping.BLOCKED
    could = weak_memory.flush(state, at, words, threads, depth, tables[0], masks, thread, turn // threads - 1)
    if could == stepping.OVERFLOW:
        note(broken, ctl, TOO_WIDE, ctl[POSITION], turn, 0)
        ctl[ENABLED] = 1
    return 0 if could == 0 else stepping.BLOCKED


def copy(state: Any, at: int, to: int) -> None:
    """Copy a state into another row."""
    for i in range(state.shape[1]):
        state[to, i] = state[at, i]


def successor(
    state: Any, tables: Any, masks: Any, broken: Any, ctl: Any, shape: tuple[int, int, int, int], turn: int
) -> int:  # fmt: skip
    """Put the successor of the present state by one turn into the first free row.

    A search that reduces goes on from there as long as only one thread must be expanded: these states are not kept.
    The threads that must be expanded then go into ctl[NEXT]; the turns and their results go behind out[0] and out[1],
    if there is room.

    Args:
        tables: nodes, links, waits, and an array for the result of a step.
        masks: own, future and locks, see `Footprints`.
        shape: shared words, threads, depth of store buffers, preemption bound (below 0: none).
        turn: a thread; or, from `threads` on, a store buffer, whose oldest store takes effect. With a log of writes:
            then one for each waiting store of each thread, and one for each other choice of a thread's step.

    Returns:
        0, BLOCKED (no successor), UNKNOWN (the thread's next link is missing), or COVERED.
    """
    node, _, waits, out = tables
    words, threads, depth, bound = shape
    at, free = ctl[POSITION], ctl[COUNT]
    whose = turn % threads
    current, choice = 0, weak_memory.choice_of(state, at, words, threads, depth, node, turn)
    if choice == stepping.BLOCKED:
        return stepping.BLOCKED
    ctl[NEXT], out[1] = -1, 1
    ctl[NEXT_ASLEEP] = 0
    if bound >= 0:
        current = preemption(state, at, free, words, threads, depth, (node, waits, out), masks, whose)
        if current >> 8 > bound:
            return stepping.BLOCKED
    copy(state, at, free)
    if bound >= 0:
        state[free, words + threads] = current
    if turn >= threads and choice == 0:
        return flush(state, free, shape, tables, masks, broken, ctl, turn)
    turn = whose
    noted, steps, others = ctl[BROKEN], 0, 0
    asleep = ctl[ASLEEP]
    while others == 0:
        out[1] = steps
        still = sleeping.behind(state, free, words, threads, node, masks, turn, asleep)
        if still == sleeping.COVERED:
            return sleeping.COVERED
        link = step_of(state, tables, masks, broken, ctl, shape, turn, choice, steps > 0)
        if link == stepping.UNKNOWN or (link < 0 and steps == 0):
            return link
        if link < 0:
            break  # the state stays as it is, and only this thread is expanded
        if 2 * steps + 3 < out.size:
            out[2 * steps + 2], out[2 * steps + 3] = turn, out[0]
        steps += 1
        asleep = still
        arrive(state, tables, masks, broken, ctl, shape, turn, choice, link)
        if ctl[REDUCES] == 0 or threads == 1 or noted != ctl[BROKEN]:
            break
        ctl[NEXT] = persistent.persistent(state, free, words, threads, node, waits, masks, turn)
        turn = persistent.first_of(ctl[NEXT])
        others = ctl[NEXT] ^ 1 << turn
    out[1] = steps
    ctl[NEXT_ASLEEP] = asleep
    return 0


def keep(
    state: Any, table: Any, parent: Any, again: Any, quiescent: Any, node: Any, ctl: Any, words: int, threads: int,
    turn: int,
) -> None:  # fmt: skip
    """Keep the state that a turn leads to if it is new; else wake up what sleeps there, but not here."""
    free = ctl[COUNT]
    known = state_table.insert(state, table, free, state.shape[1])
    if known >= 0:
        wake(parent, again, ctl, known)
        return
    threads_there = ctl[NEXT_ASLEEP] << SLEEP_SHIFT | (ctl[NEXT] & EVERYONE) << EXPANDED_SHIFT
    parent[free] = threads_there | ctl[POSITION] << PARENT_SHIFT | turn
    if is_quiescent(state, free, words, threads, node):
        quiescent[ctl[QUIESCENT]] = free
        ctl[QUIESCENT] += 1
    ctl[COUNT] = free + 1


def spend(ctl: Any, steps: int) -> None:
    """Count the transitions of a turn."""
    ctl[ENABLED] = 1
    ctl[TRANSITIONS] += steps
    ctl[QUOTA] -= steps


def wake(parent: Any, again: Any, ctl: Any, known: int) -> None:
    """Let only those threads sleep in a known state that sleep on this way to it, too."""
    woken = parent[known] >> SLEEP_SHIFT & ~ctl[NEXT_ASLEEP] & EVERYONE
    if woken == 0:
        return
    parent[known] ^= woken << SLEEP_SHIFT
    if known >= ctl[FRONT]:
        return  # it will be expanded
    if again[known] & EVERYONE == 0:
        again[known] = ctl[AGAIN] << AGAIN_SHIFT
        ctl[AGAIN] = known + 1
    again[known] |= woken


def choose(parent: Any, again: Any, ctl: Any) -> None:
    """Choose the next state: one in which a thread has woken up, else the first that was never expanded."""
    if ctl[AGAIN] > 0:
        at = ctl[AGAIN] - 1
        ctl[AGAIN] = again[at] >> AGAIN_SHIFT
        ctl[EXPANDED] = again[at] & EVERYONE
        again[at] = 0
        ctl[ASLEEP] = parent[at] >> SLEEP_SHIFT & EVERYONE
        ctl[ENABLED] = 1
    else:
        at = ctl[FRONT]
        if at == ctl[LEVEL_END]:
            ctl[DEPTH] += 1
            ctl[LEVEL_END] = ctl[COUNT]
        ctl[FRONT] = at + 1
        ctl[ASLEEP] = parent[at] >> SLEEP_SHIFT & EVERYONE
        ctl[EXPANDED] = parent[at] >> EXPANDED_SHIFT & EVERYONE & ~ctl[ASLEEP]
        ctl[ENABLED] = ctl[ASLEEP] != 0  # what sleeps can go on
    ctl[POSITION] = at
    ctl[BUSY] = 1


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
    state: Any, node: Any, links: Any, waits: Any, broken: Any, table: Any, parent: Any, again: Any, quiescent: Any,
    same: Any, ctl: Any, out: Any, own: Any, future: Any, locks: Any, words: int, depth: int, bound: int,
) -> int:  # fmt: skip
    """Continue a search.

    Args:
        state: one row per state; the first ctl[COUNT] are known.
        node, links, waits: see `nodes`.
        broken, quiescent: notes for Python: violations, and quiescent states.
        table: the hash table of states; its size is a power of two.
        parent, again: for each state the state before it and the turn between them, and the threads that are expanded;
            see EXPANDED_SHIFT and AGAIN_SHIFT.
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
    turns = weak_memory.turns(state.shape[1], words, threads, depth)
    tables, masks = (node, links, waits, out), (own, future, locks)
    while ctl[BUSY] or ctl[AGAIN] or ctl[FRONT] < ctl[COUNT]:
        if ctl[BUSY] == 0:
            why = why_return(state, table, quiescent, ctl)
            if why != FINISHED:
                return why
            choose(parent, again, ctl)
        while ctl[TURN] < turns:
            turn = ctl[TURN]
            followed = stepping.BLOCKED
            if ctl[EXPANDED] >> turn % threads & 1:
                followed = successor(state, tables, masks, broken, ctl, (words, threads, depth, bound), turn)
            if followed == stepping.UNKNOWN:
                return NEEDS_LINK
            ctl[TURN] = turn + 1
            if followed != stepping.BLOCKED:
                spend(ctl, out[1])
                if followed != sleeping.COVERED:
                    if ctl[CANONICAL]:
                        both = ctl[NEXT] & EVERYONE | ctl[NEXT_ASLEEP] << SECOND
                        both = arrange(state, ctl[COUNT], words, same, both)
                        ctl[NEXT], ctl[NEXT_ASLEEP] = both & EVERYONE, both >> SECOND
                    keep(state, table, parent, again, quiescent, node, ctl, words, threads, turn)
                if ctl[REDUCES] > 1:
                    ctl[ASLEEP] |= 1 << turn
        if ctl[ENABLED] == 0 and is_deadlock(state, ctl[POSITION], words, threads, depth, node):
            note(broken, ctl, DEADLOCK, ctl[POSITION], 0, 0)
        ctl[TURN] = ctl[BUSY] = 0
    return FINISHED


def follow(  # noqa: PLR0913  (native code takes arrays one by one)
    state: Any, node: Any, links: Any, waits: Any, broken: Any, same: Any, ctl: Any, out: Any, own: Any, future: Any,
    locks: Any, words: int, depth: int, turn: int,
) -> int:  # fmt: skip
    """Put the successor of row ctl[POSITION] by one turn into row ctl[COUNT] (see `successor`)."""
    shape = words, same.size, depth, -1
    return successor(state, (node, links, waits, out), (own, future, locks), broken, ctl, shape, turn)

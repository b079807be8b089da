"""PCT (probabilistic concurrency testing), compiled: seeded random schedules for state spaces that are too large.

The thread with the highest priority runs. At a few random steps, the running thread gets the lowest priority. One
schedule finds a bug of depth d with a probability of at least 1 / (threads * steps^(d-1)) (Burckhardt, Kothari,
Musuvathi, Nagarakatte: "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010).
"""

from __future__ import annotations

from typing import Any

from foliolab.framework.verify.explored import breadth_first, weak_memory
from foliolab.framework.verify.explored.stepping import BLOCKED, NODE_MASK, UNKNOWN, find_link


def next_random(seed: int) -> int:
    """The successor of `seed` in a pseudo-random sequence (xorshift)."""
    seed ^= seed << 13
    seed ^= seed >> 7 & 0x1FFFFFFFFFFFFFF
    seed ^= seed << 17
    return seed


def best(priority: Any, tried: int, turns: int) -> int:
    """The untried turn with the highest priority; -1 for none."""
    found = -1
    for turn in range(turns):
        if tried >> turn & 1 == 0 and (found < 0 or priority[turn] > priority[found]):
            found = turn
    return found


def shuffle(priority: Any, turns: int, seed: int) -> int:
    """Give the turns random priorities; return the next seed. Seed 0 leaves them as they are."""
    if seed != 0:
        for turn in range(turns):
            seed = next_random(seed)
            priority[turn] = seed >> 8 & 0xFFFFFF
    return seed


def vary(priority: Any, turns: int, threads: int, first: int, seed: int) -> int:
    """Let chance say for each choice of a step whether it goes before the step; return the next seed.

    Args:
        first: the first turn that is such a choice (see `weak_memory.turns`).
        seed: 0 leaves the priorities as they are.
    """
    if seed != 0:
        for turn in range(first, turns):
            seed = next_random(seed)
            priority[turn] = priority[turn % threads] + (1 if seed >> 9 & 1 else -1)
    return seed


def lower(
    priority: Any, turn: int, threads: int, steps: int, seed: int, changed: int, changes: int, length: int
) -> int:  # fmt: skip
    """Lower the priority of what has just run, if it is time; return how often that was done so far.

    Args:
        steps: so far.
        changed: see the result.
        seed, changes, length: see `walk`.
    """
    if seed == 0 and steps == changes:
        priority[turn % threads] = -1
    elif seed != 0 and changed < changes and (seed >> 5 & 0xFFFFFF) % length == 0:
        changed += 1
        priority[turn] = -changed
    return changed


def walk(  # noqa: PLR0913  (native code takes arrays one by one)
    state: Any, node: Any, links: Any, waits: Any, broken: Any, path: Any, same: Any, ctl: Any, out: Any,
    priority: Any, own: Any, future: Any, locks: Any, words: int, depth: int, seed: int, changes: int, length: int,
) -> int:  # fmt: skip
    """Run one random schedule from the state in row 0, in place; row 1 is scratch space.

    Args:
        path: receives one row per step: the turn and the link.
        priority: one number per turn.
        seed: of this schedule; 0 for the priorities that `priority` has.
        changes: the number of priority changes; with seed 0 the step after which there is the only one.
        length: the estimated number of steps of a schedule.

    Returns:
        FINISHED, NEEDS_LINK, or PAUSED at a violation (or if `path` is full). out[1] is the number of steps.
    """
    threads = same.size
    turns = weak_memory.turns(state.shape[1], words, threads, depth)
    tables, shape = (node, links, waits, out), (words, threads, depth, -1)
    seed = shuffle(priority, turns, seed)
    steps, changed = 0, 0
    while steps < path.shape[0]:
        ctl[breadth_first.POSITION], ctl[breadth_first.COUNT] = 0, 1
        tried, done = 0, False
        seed = vary(priority, turns, threads, threads * (1 + depth), seed)
        while not done:
            turn = best(priority, tried, turns)
            if turn < 0:
                break
            tried |= 1 << turn
            followed = breadth_first.successor(state, tables, (own, future, locks), broken, ctl, shape, turn)
            out[1] = steps
            if followed == UNKNOWN:
                return breadth_first.NEEDS_LINK
            done = followed != BLOCKED
        if ctl[breadth_first.BROKEN] > 0:
            return breadth_first.PAUSED
        if not done:
            if breadth_first.is_deadlock(state, 0, words, threads, depth, node):
                breadth_first.note(broken, ctl, breadth_first.DEADLOCK, 0, 0, 0)
                return breadth_first.PAUSED
            return breadth_first.FINISHED
        path[steps, 0] = turn
        path[steps, 1] = -1
        if weak_memory.is_step(turn, threads, depth):
            path[steps, 1] = find_link(node, links, state[0, words + turn % threads] & NODE_MASK, out[0])
        for i in range(state.shape[1]):
            state[0, i] = state[1, i]
        steps += 1
        out[1] = steps
        seed = next_random(seed)
        whose = turn if turn < threads * (1 + depth) else turn % threads
        changed = lower(priority, whose, threads, steps, seed, changed, changes, length)
    return breadth_first.PAUSED

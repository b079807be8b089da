"""Sleep sets, compiled: threads whose next step need not be done, since another path leads to what is behind it.

When the search has done the step of a thread in a state, the thread sleeps in the states behind the steps that it does
next, as long as these are independent of the thread's step: to do that step there would lead to states which are
reached behind the first one, too (Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", LNCS
1032, 1996, chapter 5). A state keeps the threads that sleep on every way to it; where a later way has some of them
awake, the state is expanded once more, by these, and what was expanded before does not sleep behind them.

So, for each state, and each path on from there to a quiescent state, a deadlock or a step that breaks a law: if no
thread with a step that the path could begin with sleeps, the path is explored up to the order of independent steps. Of
the steps that it could begin with and that were expanded, take the first one of the last time that the state was
expanded; behind it no step sleeps with which the rest of the path could begin.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.verify.explored import persistent, stepping

COVERED: Final = -4
"""Stands for a step that sleeps: another path leads to what is behind it."""


def behind(
    row: Any, at: int, words: int, threads: int, node: Any, masks: Any, turn: int, asleep: int
) -> int:  # fmt: skip
    """The threads that still sleep behind the next step of a thread; COVERED if the thread sleeps itself.

    Args:
        row, at: the state before the step.
        masks: see `persistent.persistent`.
        turn: the thread.
        asleep: the mask of those that sleep before.
    """
    if asleep == 0:
        return 0
    if asleep >> turn & 1:
        return COVERED
    own, future, _ = masks
    truth = 0
    for t in range(words, words + threads):
        truth |= future[row[at, t] & stepping.NODE_MASK, persistent.READS]
    kept = ~persistent.TRUTH_BIT | truth & persistent.TRUTH_BIT
    n = row[at, words + turn] & stepping.NODE_MASK
    for t in range(threads):
        m = row[at, words + t] & stepping.NODE_MASK
        if asleep >> t & 1 and not are_independent(row, at, node, own, kept, n, m):
            asleep ^= 1 << t
    return asleep


def are_independent(row: Any, at: int, node: Any, own: Any, kept: int, n: int, m: int) -> bool:
    """Whether the order of the steps of two nodes makes no difference in a state."""
    changed, also = own[n, persistent.WRITES], own[m, persistent.WRITES]
    adds, other = own[n, persistent.ADDS], own[m, persistent.ADDS]
    if not persistent.adds_safely(row, at, node, n):
        changed, adds = changed | adds, 0
    if not persistent.adds_safely(row, at, node, m):
        also, other = also | other, 0
    touched, touches = changed | own[n, persistent.READS], also | own[m, persistent.READS]
    both: int = changed & (touches | other) | also & (touched | adds) | adds & touches | other & touched
    return kept & both == 0

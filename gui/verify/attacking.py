"""The verifier in a job's process: what it tells on the way, and what it found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from foliolab.gui.window.jobs import Say, Step

if TYPE_CHECKING:
    from foliolab.framework.verify.verifier import Verification

EVERY: Final = 0.15
"""Seconds from one word of an attack about its progress to the next, at least."""


def attack(
    policy: str, files: Sequence[str], seconds: float, memory: int, attacks: Sequence[str], tso: bool, command: str,
    say: Say,
) -> Verification:  # fmt: skip
    """Attack a policy.

    Args:
        policy: as a user would write it.
        files: plugin files.
        seconds, memory: the budget of each attack.
        attacks: by their names.
        tso: explore with store buffers.
        command: what repeats it.
        say: gets every `Progress` (not more often than EVERY), every refutation, and `Step`s.

    Raises:
        FolioLabError: there is no such policy, or it cannot be attacked.
    """
    from foliolab.framework.plugins import registry
    from foliolab.framework.verify import attacks as known
    from foliolab.framework.verify import ledger, verifier
    from foliolab.framework.verify.attack import Budget, Progress

    found = registry.load([*files])
    scheme = found.policy(policy)
    kind, source = found.origin(scheme)
    began = time.monotonic()
    last: dict[str, float] = {}

    def tell(news: Any) -> None:
        if isinstance(news, Progress):
            if time.monotonic() - last.get(news.attack, 0.0) < EVERY:
                return
            last[news.attack] = time.monotonic()
            say(Step(news.attack, int(10 * (time.monotonic() - began)), int(10 * seconds)))
        say(news)

    done = verifier.verify(
        scheme, known.chosen(attacks, tso), Budget(seconds, memory), tell, 1, command=command,
        plugin=source if kind == "file" else "",
    )  # fmt: skip
    ledger.keep(done, scheme)
    return done

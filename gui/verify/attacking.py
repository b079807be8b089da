"""The work of a job that attacks a policy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from foliolab.gui.window.jobs import Say, Step

if TYPE_CHECKING:
    from foliolab.framework.verify.counterexample import MemoryModel
    from foliolab.framework.verify.verifier import Verification

EVERY: Final = 0.15
"""Least seconds between two reports of an attack about its progress."""


def attack(
    policy: str, files: Sequence[str], seconds: float, memory: int, attacks: Sequence[str], model: MemoryModel,
    command: str, say: Say,
) -> Verification:  # fmt: skip
    """Attack a policy, and keep the verdicts in the ledger.

    Args:
        policy: the policy, as it is written on the command line.
        files: policy files besides the installed plugins.
        seconds, memory: the budget of each attack; the memory in bytes.
        attacks: names of attacks.
        model: the memory model of the explored attack.
        command: the command line that repeats the attacks.
        say: called with every `Progress` (not more often than EVERY), every refutation, and `Step`s.

    Raises:
        FolioLabError: the policy does not exist or cannot be attacked.
    """
    from foliolab.framework.plugins import registry
    from foliolab.framework.verify import attacks as known
    from foliolab.framework.verify import ledger, verifier
    from foliolab.framework.verify.attack import Budget, Progress

    found = registry.load([*files])
    scheme = found.policy(policy)
    kind, source = found.origin(scheme)
    started = time.monotonic()
    last: dict[str, float] = {}

    def report(news: Any) -> None:
        if isinstance(news, Progress):
            if time.monotonic() - last.get(news.attack, 0.0) < EVERY:
                return
            last[news.attack] = time.monotonic()
            say(Step(news.attack, int(10 * (time.monotonic() - started)), int(10 * seconds)))
        say(news)

    done = verifier.verify(
        scheme, known.chosen(attacks, model), Budget(seconds, memory), report, 1, command=command,
        plugin=source if kind == "file" else "",
    )  # fmt: skip
    ledger.keep(done, scheme)
    return done

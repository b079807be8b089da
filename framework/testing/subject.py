"""The policy under check, and what its checks share: verdicts and installed plugins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foliolab.framework.contract.policy import Policy, Scheme

if TYPE_CHECKING:
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.verify.verifier import Verification

SECONDS: Final = 20.0
MEMORY: Final = 1 << 30

Say = Callable[[str], object]


@dataclass
class Subject:
    """A policy under check.

    Args:
        seconds: that all attacks together may take.
        attacks: names; empty for all.
        memory: bytes that the states of a search may take.
        plugin: the file that the policy comes from; empty for an installed policy.
        command: the command that repeats the check.
        registry: the plugins whose workloads run; None for the installed ones.
        say: called with what is checked now.
        first: end all attacks with the first refutation.
    """

    scheme: Scheme
    seconds: float = SECONDS
    attacks: Sequence[str] = ()
    memory: int = MEMORY
    seed: int = 1
    plugin: str = ""
    command: str = ""
    registry: Registry | None = None
    say: Say = lambda text: None
    first: bool = False
    _verification: Verification | None = field(default=None, init=False)

    @property
    def policy(self) -> Policy:
        return self.scheme.policy

    @property
    def verified(self) -> Verification | None:
        return self._verification

    def verification(self) -> Verification:
        """The verdicts of the attacks, which run once."""
        if self._verification is None:
            from foliolab.framework.verify import attacks, verifier
            from foliolab.framework.verify.attack import Budget, Progress

            last = [0.0]

            def tell(news: object) -> None:
                now = time.monotonic()
                if isinstance(news, Progress) and now - last[0] > 0.5:
                    last[0] = now
                    self.say(f"{news.attack}: {news.states:,} states")

            self._verification = verifier.verify(
                self.scheme, attacks.chosen(self.attacks), Budget(self.seconds, self.memory, self.seed), tell,
                first=self.first, command=self.command, plugin=self.plugin,
            )  # fmt: skip
        return self._verification

    def installed(self) -> Registry:
        """The plugins, which are loaded once."""
        if self.registry is None:
            from foliolab.framework.plugins import registry

            self.registry = registry.load()
        return self.registry


def subject_of(policy: Policy | Scheme | str, registry: Registry | None = None, seconds: float = SECONDS) -> Subject:
    """A subject for a policy, a policy with parameters, or `name:parameter=value`.

    Raises:
        UsageError: there is no such policy.
    """
    if isinstance(policy, str):
        if registry is None:
            from foliolab.framework.plugins import registry as room

            registry = room.load()
        return Subject(registry.policy(policy, typed=True), seconds, registry=registry)
    scheme = policy.with_parameters() if isinstance(policy, Policy) else policy
    return Subject(scheme, seconds, registry=registry)

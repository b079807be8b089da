"""Small machines in states that are worked out by hand: MM 0 is the parent, 1 its child, 2 a third."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from foliolab.framework.consequences.moment import SCRATCH_A_PAGE
from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.plugins.registry import Registry, load


class Make(Protocol):
    """A machine with one folio in MM 0, interpreted."""

    def __call__(
        self, policy: str | Policy, order: int = 4, nr_mms: int = 4, nr_vpns: int = 64, folios: int = 1
    ) -> Machine: ...


@pytest.fixture(scope="session")
def found() -> Registry:
    """Everything that ships."""
    return load()


@pytest.fixture
def make(found: Registry) -> Make:
    def made(policy: str | Policy, order: int = 4, nr_mms: int = 4, nr_vpns: int = 64, folios: int = 1) -> Machine:
        scheme = found.policy(policy) if isinstance(policy, str) else policy.with_parameters()
        machine = Machine(scheme, Shape(2048, nr_mms, nr_vpns, scratch=SCRATCH_A_PAGE * nr_vpns), "interpreted")
        machine.create(0)
        if folios:
            machine.populate(0, 0, folios << order, order)
        return machine

    return made


@pytest.fixture
def third_stays(make: Make) -> Callable[..., Machine]:
    """T2 of specification 2.4: the third MM, for which two slots have no room, is left alone."""

    def made(policy: str | Policy, folios: int = 1, nr_vpns: int = 64) -> Machine:
        machine = make(policy, folios=folios, nr_vpns=nr_vpns)
        machine.fork(0, 1)
        machine.fork(0, 2)
        machine.exit(0)
        machine.exit(1)
        return machine

    return made

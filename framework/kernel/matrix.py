"""Kernels × policies: each kernel plays the same kinds of scenarios in a guest, and each policy is held against it.

A row is a process of its own with its guest, so rows run side by side, and a kernel that hangs, panics or is killed
costs its row only: the row says why.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Final, TypeVar

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import KernelError
from foliolab.framework.isolation.process import Answer, Child, Crash, Failure, ready
from foliolab.framework.kernel.agent.build import agent
from foliolab.framework.kernel.agent.channel import Gone
from foliolab.framework.kernel.check import SHORT_STEPS, Agreement, check_all, shortest_first
from foliolab.framework.kernel.guest.machine import Guest
from foliolab.framework.kernel.guest.qemu import kvm_missing, qemu
from foliolab.framework.kernel.images.store import Image
from foliolab.framework.kernel.running import Running
from foliolab.framework.kernel.session import Session
from foliolab.framework.kernel.settings import order_of
from foliolab.framework.scenario import situations
from foliolab.framework.scenario.generate import Mix
from foliolab.framework.scenario.parser import parse

WAIT_SECONDS: Final = 0.2
END_SECONDS: Final = 15.0
"""Seconds that a row gets to end with what it has after Ctrl-C."""
TELL_SECONDS: Final = 0.5
DIFFERENCES: Final = 20
"""Unexplained disagreements after which a policy is compared no more."""
TRIED: Final = {
    ("pin", "unpin"): "region heap: 1 x 4K\nA: pin heap[0] as p\nA: unpin p\n",
    ("vmsplice", "close"): "region heap: 1 x 4K\nA: vmsplice heap[0] as v\nA: close v\n",
}
"""A scenario for each group of actions that a kernel may refuse."""


@dataclass(frozen=True)
class Plan:
    """What each kernel plays.

    Attributes:
        scenarios: number of random ones; all short ones come before.
        seed: of the first.
        mix: of the random ones; a kernel's own may have fewer orders and actions.
        most: unexplained disagreements after which a policy is compared no more.
        cpus: of a guest.
        short_steps: the most steps of the short scenarios.
    """

    scenarios: int
    seed: int
    mix: Mix
    most: int = DIFFERENCES
    cpus: int = 1
    short_steps: int = SHORT_STEPS


@dataclass
class Row:
    """What one kernel did.

    Attributes:
        name: by which it was asked for.
        described: release and options, as it says itself.
        claims: the policies that claim to model it.
        where: how it ran, such as "in a guest (TCG)".
        notes: what was left out, and why.
        boot_seconds, seconds: until it answered, and in all.
        agreements: by the policy's name.
        lost: why the row ended before it was complete; else empty.
    """

    name: str
    described: str = ""
    claims: tuple[str, ...] = ()
    where: str = ""
    notes: list[str] = field(default_factory=list)
    boot_seconds: float = 0.0
    seconds: float = 0.0
    agreements: dict[str, Agreement] = field(default_factory=dict)
    lost: str = ""

    @property
    def writes(self) -> int:
        """The largest number of page writes that were compared with a policy."""
        return max((found.writes for found in self.agreements.values()), default=0)

    @property
    def behaves_like(self) -> list[str]:
        """The policies that the kernel agrees with in everything that it played."""
        return [name for name, found in self.agreements.items() if found.writes and not found.unexplained]

    @property
    def refuted_claims(self) -> list[str]:
        """The policies that claim to model it and differ."""
        return [name for name in self.claims if name in self.agreements and self.agreements[name].unexplained]


Progress = Callable[[str, int, int], None]
"""Called with a row's name, its scenarios and its writes."""


def claims(kernel: Running, schemes: Sequence[Scheme]) -> tuple[str, ...]:
    """The names of the policies that claim to model a kernel."""
    return tuple(one.name for one in schemes if kernel.behaves_as(one.policy.models))


def possible_mix(session: Session, mix: Mix) -> tuple[Mix, list[str]]:
    """The mix without what a guest's kernel lacks, and a note for each omission.

    Raises:
        Gone: the kernel does not answer any more.
        KernelError: it has no large folios.
    """
    switches = session.conditions.switches or {}
    known = {0, *map(order_of, switches)}
    orders = tuple(order for order in mix.orders if order in known)
    if not any(orders):
        raise KernelError(f"{session.name} has no large folios", "it needs CONFIG_TRANSPARENT_HUGEPAGE=y")
    notes = []
    if missing := sorted(set(mix.orders) - known):
        notes.append(f"no folios of order {', '.join(map(str, missing))}")
    actions = {*mix.actions, "thread"}
    if session.conditions.swap:
        actions.add("pageout")
    else:
        notes.append("without pageout: there is no swap")
    if len(session.conditions.nodes) > 1:
        actions.add("migrate")
    else:
        notes.append("without migrate: there is one NUMA node")
    for names, text in TRIED.items():
        try:
            session.run(parse(f"scenario tried\n{text}"))
        except Gone:
            raise
        except KernelError as fault:
            notes.append(f"without {names[0]}: {fault.what}")
            actions -= {*names}
    return replace(mix, orders=orders, actions=frozenset(actions)), notes


def guest_row(image: Image, schemes: Sequence[Scheme], plan: Plan, progress: Progress | None = None) -> Row:
    """Boot a kernel, and hold policies against it. A kernel that is lost makes a row that says so."""
    row = Row(image.name)
    guest = Guest(image, plan.cpus, nodes=2)

    def describe() -> None:
        row.described, row.claims = guest.kernel.described, claims(guest.kernel, schemes)
        row.where = f"in a guest ({guest.accelerator.upper()})"
        row.boot_seconds = guest.boot_seconds

    return fill(row, guest, schemes, plan, progress, describe)


def fill(
    row: Row,
    session: Session,
    schemes: Sequence[Scheme],
    plan: Plan,
    progress: Progress | None = None,
    describe: Callable[[], None] = lambda: None,
    possible: tuple[Mix, list[str]] | None = None,
) -> Row:
    """Hold policies against a kernel, and complete its row.

    Args:
        session: not entered yet.
        describe: called once the session has started.
        possible: the mix that the kernel allows, and what was left out; None: it is tried.
    """
    began = time.monotonic()
    found = [Agreement() for _ in schemes]
    row.agreements = {scheme.name: one for scheme, one in zip(schemes, found, strict=True)}
    try:
        with session as kernel:
            describe()
            mix, notes = possible or possible_mix(kernel, plan.mix)
            row.notes += notes
            for one in found:
                one.situations.sought = situations.possible(mix.orders, mix.actions)
            made = shortest_first(plan.scenarios, plan.seed, mix, plan.short_steps)
            last = 0.0

            def tell(now: Sequence[Agreement]) -> None:
                nonlocal last
                if progress is not None and time.monotonic() - last > TELL_SECONDS:
                    last = time.monotonic()
                    progress(row.name, max(one.scenarios for one in now), max(one.writes for one in now))

            check_all(kernel, schemes, made, plan.most, tell, found)
    except KernelError as fault:
        row.lost = fault.what
    row.seconds = time.monotonic() - began
    return row


def rows(
    images: Sequence[Image], schemes: Sequence[Scheme], plan: Plan, jobs: int = 0, progress: Progress | None = None
) -> Iterator[Row]:
    """The row of each kernel, as they are completed; as for `side_by_side`."""

    def work(pipe: Connection, image: Image) -> Row:
        return _work(pipe, image, schemes, plan)

    return side_by_side(images, work, lambda name, why: Row(name, lost=why), jobs, progress)


Made = TypeVar("Made")


def side_by_side(
    images: Sequence[Image],
    work: Callable[[Connection, Image], Made],
    lost: Callable[[str, str], Made],
    jobs: int = 0,
    progress: Progress | None = None,
) -> Iterator[Made]:
    """What is made of each kernel in a process of its own, as they are completed.

    After Ctrl-C the processes that are under way come as far as they are.

    Args:
        work: makes it; it may send the arguments of `progress` through the pipe.
        lost: makes what stands for a kernel whose process failed, of its name and the reason.
        jobs: how many guests run at a time; 0: as many as this process has processors.

    Raises:
        KernelError: there is no QEMU, or no compiler.
    """
    kvm_missing(qemu())  # tried once, before the processes begin
    agent()  # built once
    waiting = list(images)
    jobs = jobs or len(os.sched_getaffinity(0))
    under_way: dict[Child, str] = {}
    deadline = 0.0
    try:
        while waiting or under_way:
            try:
                while waiting and len(under_way) < jobs:
                    image = waiting.pop(0)
                    child = Child(work, image, method="fork", interruptible=True, has_children=True)
                    under_way[child] = image.name
                ready(under_way, WAIT_SECONDS)
                yield from _arrived(under_way, lost, progress)
            except KeyboardInterrupt:
                waiting.clear()
                deadline = deadline or time.monotonic() + END_SECONDS
                for child in under_way:
                    child.interrupt()
            if deadline and time.monotonic() > deadline:
                break
    finally:
        for child in under_way:
            child.end()


def _arrived(
    under_way: dict[Child, str], lost: Callable[[str, str], Made], progress: Progress | None
) -> Iterator[Made]:
    for child, name in list(under_way.items()):
        for message in child.arrived():
            if isinstance(message, Answer):
                yield message.value
            elif isinstance(message, Failure):
                yield lost(name, message.error.what)
            elif isinstance(message, Crash):
                yield lost(name, f"the process that has its guest {message.how}")
            elif progress is not None and isinstance(message, tuple):
                progress(*message)
        if child.over:
            del under_way[child]
            child.end(END_SECONDS)


def _work(pipe: Connection, image: Image, schemes: Sequence[Scheme], plan: Plan) -> Row:
    return guest_row(image, schemes, plan, lambda *words: pipe.send(words))

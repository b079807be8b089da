"""Measures cells of the matrix, or all of it: small runs of commands of the command line, one after the other."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from foliolab.framework.errors import FolioLabError
from foliolab.gui.compare import store
from foliolab.gui.window.jobs import Step

if TYPE_CHECKING:
    from foliolab.framework.engine.engine import Execution
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.run.request import RunRequest

SIZES: Final = "16K,64K,256K,1M,2M"
MEMORY: Final = "32M"
MMS: Final = "1-4,6,8"
FOLIOS: Final = 16
MOMENTS: Final = 50
ATTACK_SECONDS: Final = 10
SPARE: Final = 0.1
TIMED: Final = ("munmap", "fork")
"""What the cost is of; each has a figure of its own."""
TOGETHER: Final = {"cost": 0.5, "precise": 0.3, "proc": 0.2}
"""The questions that are measured about all policies in one run, with their shares of the time."""
PHASES: Final = ("counting", "compiling", "measuring")
"""The phases of a comparison, in their order; other runs have one."""


class Cell(NamedTuple):
    """A cell of the matrix."""

    question: str
    policy: str


@dataclass(frozen=True)
class Began:
    """The job begins to measure a cell."""

    cell: Cell


@dataclass(frozen=True)
class Done:
    """The job has measured a cell.

    Args:
        cell: the cell.
        failure: why the cell could not be measured; empty if it could.
        hint: what to do about the failure.
        kept: an encoded `store.Kept`; empty if the answer is in the ledger.
    """

    cell: Cell
    failure: str = ""
    hint: str = ""
    kept: bytes = b""


@dataclass(frozen=True)
class CellStep(Step):
    """The progress of the job.

    Args:
        share: the part of the cell that is done.
    """

    share: float = 0.0


# -- the commands ----------------------------------------------------------------------------------------
def timed(registry: Registry) -> list[str]:
    """The workloads that are timed: those of `TIMED`, else those that measure the scheme alone."""
    found: list[str] = [name for name in TIMED if name in registry.workloads]
    return found or [
        one.name
        for one in registry.workloads.values()
        if one.threads == 1 and not one.contents and not one.program and not one.needs and len(one.orders) > 1
    ]


def command(cell: Cell, registry: Registry, baseline: str) -> tuple[str, ...]:
    """The words of the command line that measures a cell; empty for the cost of the baseline."""
    return _command(cell.question, [cell.policy], registry, baseline)


def _command(question: str, policies: Sequence[str], registry: Registry, baseline: str) -> tuple[str, ...]:
    listed = ",".join(policies)
    if question == "right":
        return ("foliolab", "verify", *policies, "--budget", str(ATTACK_SECONDS))
    if question == "precise":
        return ("foliolab", "precision", "--policies", listed, "--mms", MMS, "--folios", str(FOLIOS))
    if question == "cost":
        if list(policies) == [baseline]:
            return ()
        return tuple(_cost_request(registry, policies, baseline, "native").command())
    if question == "proc":
        return ("foliolab", "consequences", *registry.patterns, "--policies", listed, "--moments", str(MOMENTS))
    return ("foliolab", "show", *policies)


# -- the jobs --------------------------------------------------------------------------------------------
def measure(cells: Sequence[Cell], baseline: str, files: Sequence[str], say: Callable[[object], None]) -> None:
    """Measure cells in their order; the work of a job.

    Args:
        cells: the cells; the policy `store.EVERY` stands for all policies of the registry that can be compared.
        baseline: the policy with which costs are compared.
        files: policy files besides the installed plugins.
        say: called with `Step`, `Began` and `Done`.
    """
    from foliolab.framework.engine.answers import describe
    from foliolab.framework.plugins import registry as room

    registry = room.load(files)
    weights = [TOGETHER[cell.question] if cell.policy == store.EVERY else 0.1 for cell in cells]
    for number, cell in enumerate(cells):
        say(Began(cell))
        before, after = sum(weights[:number]) / sum(weights), sum(weights[: number + 1]) / sum(weights)
        report = _Reporter(cell, f" ({number + 1} of {len(cells)})" * (len(cells) > 1), before, after, say)
        try:
            kept = _measured(cell, registry, baseline, report)
            say(Done(cell, kept=b"" if kept is None else msgspec.json.encode(kept)))
        except FolioLabError as fault:
            say(Done(cell, fault.what, fault.hint))
        except Exception as fault:  # the policy's code can raise anything
            say(Done(cell, describe(fault), "repair the policy, and measure again"))


def _measured(cell: Cell, registry: Registry, baseline: str, report: _Reporter) -> store.Kept | None:
    """What is kept of a cell; None for verdicts, which the ledger keeps, and for the cost of the baseline."""
    policies = everyone(registry) if cell.policy == store.EVERY else [cell.policy]
    words = shlex.join(_command(cell.question, policies, registry, baseline))
    result = WAYS[cell.question](registry, policies, baseline, words, report)
    if result is None:
        return None
    about = dict.fromkeys([*policies, *([baseline] if cell.question == "cost" else [])])
    return store.Kept(
        question=cell.question,
        policy=cell.policy,
        digests={policy: store.digest(registry.policy(policy)) for policy in about},
        result=msgspec.Raw(msgspec.json.encode(result)),
    )


def everyone(registry: Registry) -> list[str]:
    """The policies that are measured together: all that have the sizes that are measured."""
    from foliolab.framework.plugins.selection import parse_sizes

    largest = max(parse_sizes(SIZES))
    return [policy.name for policy in registry.policies.values() if policy.max_order >= largest]


@dataclass
class _Reporter:
    """Reports the progress of a cell as steps of the whole job, at most ten a second, never backwards.

    Args:
        before, after: the parts of the whole job that are done before and after this cell.
    """

    cell: Cell
    place: str
    before: float
    after: float
    say: Callable[[object], None]
    last: float = 0.0
    most: float = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        import time

        share = min(done / total, 1.0) if total else 0.0
        if phase in PHASES:
            share = (PHASES.index(phase) + share) / len(PHASES)
        self.most = max(self.most, share)
        now = time.monotonic()
        if now - self.last > 0.1:
            self.last = now
            text = f"{self.cell.question}, {self.cell.policy or 'all policies'}{self.place}"
            whole = self.before + self.most * (self.after - self.before)
            self.say(CellStep(text, int(1000 * whole), 1000, self.most))


def _right(registry: Registry, policies: Sequence[str], baseline: str, command: str, report: _Reporter) -> None:
    """Verify a policy; the verdicts go to the ledger."""
    from foliolab.framework.verify import attacks, ledger, verifier
    from foliolab.framework.verify.attack import Budget

    for policy in policies:
        scheme = registry.policy(policy)
        budget = Budget(ATTACK_SECONDS)
        kind, source = registry.origin(scheme)

        def listen(news: object, budget: Budget = budget) -> None:
            report("verify", int(1000 * (1 - budget.left / ATTACK_SECONDS)), 1000)

        found = verifier.verify(
            scheme, attacks.chosen(), budget, listen, command=command, plugin=source if kind == "file" else ""
        )
        ledger.keep(found, scheme)


def _precise(registry: Registry, policies: Sequence[str], baseline: str, command: str, report: _Reporter) -> object:
    from foliolab.framework.plugins.selection import parse_ranges
    from foliolab.framework.precision.session import PrecisionRequest, precision

    numbers = sorted({n for span in parse_ranges(MMS, "a number of MMs", "1-16") for n in span})
    request = PrecisionRequest(
        patterns=list(registry.patterns.values()), schemes=[registry.policy(policy) for policy in policies],
        mms=numbers, folios=FOLIOS, execution=_execution(), command=command,
    )  # fmt: skip
    return _complete(precision(request, report))


def _cost(registry: Registry, policies: Sequence[str], baseline: str, command: str, report: _Reporter) -> object:
    from foliolab.framework.run.supervise import compare_run

    if list(policies) == [baseline]:
        return None
    return _complete(compare_run(_cost_request(registry, policies, baseline), report))


def _cost_request(
    registry: Registry, policies: Sequence[str], baseline: str, execution: Execution | None = None
) -> RunRequest:
    from foliolab.framework.plugins.selection import parse_sizes
    from foliolab.framework.run.request import build

    compared = list(dict.fromkeys([baseline, *policies]))
    largest = min(registry.policy(name).policy.max_order for name in compared)
    return build(
        registry,
        policies=compared,
        baseline=baseline,
        workloads=timed(registry),
        sizes=[order for order in parse_sizes(SIZES) if order <= largest],
        memory=MEMORY,
        spare=SPARE,
        execution=execution,
    )


def _proc(registry: Registry, policies: Sequence[str], baseline: str, command: str, report: _Reporter) -> object:
    from foliolab.framework.consequences import session
    from foliolab.framework.consequences.sources import FromPattern, usage_for

    sources = [FromPattern(pattern, usage_for(4), 1, MOMENTS) for pattern in registry.patterns.values()]
    request = session.ConsequencesRequest(
        sources=sources, schemes=[registry.policy(policy) for policy in policies], askers=registry.parse_askers([]),
        command=command, execution=_execution(),
    )  # fmt: skip
    return _complete(session.follow(request, report))


WAYS: Final[dict[str, Callable[[Registry, Sequence[str], str, str, _Reporter], object]]] = {
    "right": _right,
    "precise": _precise,
    "cost": _cost,
    "proc": _proc,
}


def _execution() -> Execution:
    from foliolab.framework.engine.engine import native_missing

    return "interpreted" if native_missing() else "native"


def _complete(result: object) -> object:
    """Return a result, if it is complete; an incomplete one would be shown as if it were complete.

    Raises:
        KeyboardInterrupt: the measurement was interrupted.
    """
    if not getattr(result, "complete", True):
        raise KeyboardInterrupt
    return result

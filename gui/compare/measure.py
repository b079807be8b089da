"""Measures cells of the matrix: small runs of commands of the command line, one after the other in a job."""

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
    from foliolab.framework.contract.workload import Workload
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


# -- the commands ----------------------------------------------------------------------------------------
def typical(registry: Registry) -> list[Workload]:
    """The workloads that measure the scheme alone: one thread, several folio sizes, no page contents or other needs."""
    return [
        w
        for w in registry.workloads.values()
        if w.threads == 1 and not w.contents and not w.program and not w.needs and len(w.orders) > 1
    ]


def command(cell: Cell, registry: Registry, baseline: str) -> tuple[str, ...]:
    """The words of the command line that measures a cell; empty for the cost of the baseline."""
    policy = cell.policy
    if cell.question == "right":
        return ("foliolab", "verify", policy, "--budget", str(ATTACK_SECONDS))
    if cell.question == "precise":
        return ("foliolab", "precision", "--policies", policy, "--mms", MMS, "--folios", str(FOLIOS))
    if cell.question == "cost":
        if policy == baseline:
            return ()
        return tuple(_cost_request(registry, policy, baseline, "native").command())
    if cell.question == "proc":
        return ("foliolab", "consequences", *registry.patterns, "--policies", policy, "--moments", str(MOMENTS))
    return ("foliolab", "show", policy)


# -- the job ---------------------------------------------------------------------------------------------
def measure(cells: Sequence[Cell], baseline: str, files: Sequence[str], say: Callable[[object], None]) -> None:
    """Measure cells in their order; the work of a job.

    Args:
        cells: the cells.
        baseline: the policy with which costs are compared.
        files: policy files besides the installed plugins.
        say: called with `Step`, `Began` and `Done`.
    """
    from foliolab.framework.engine.answers import describe
    from foliolab.framework.plugins import registry as room

    registry = room.load(files)
    for number, cell in enumerate(cells):
        say(Began(cell))
        report = _Reporter(cell, number, len(cells), say)
        try:
            words = shlex.join(command(cell, registry, baseline))
            result = WAYS[cell.question](registry, cell.policy, baseline, words, report)
            kept = b"" if result is None else msgspec.json.encode(_kept(cell, registry, baseline, result))
            say(Done(cell, kept=kept))
        except FolioLabError as fault:
            say(Done(cell, fault.what, fault.hint))
        except Exception as fault:  # the policy's code can raise anything
            say(Done(cell, describe(fault), "repair the policy, and measure again"))


@dataclass
class _Reporter:
    """Reports the progress of a cell as steps of the whole job, at most ten a second."""

    cell: Cell
    number: int
    whole: int
    say: Callable[[object], None]
    last: float = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        import time

        now = time.monotonic()
        if now - self.last > 0.1:
            self.last = now
            text = f"{self.cell.question}, {self.cell.policy}" + (
                f" ({self.number + 1} of {self.whole})" * (self.whole > 1)
            )
            share = done / total if total else 0.0
            self.say(Step(text, int(1000 * (self.number + min(share, 1.0))), 1000 * self.whole))


def _kept(cell: Cell, registry: Registry, baseline: str, result: object) -> store.Kept:
    about = [cell.policy, *([baseline] if cell.question == "cost" else [])]
    return store.Kept(
        question=cell.question,
        policy=cell.policy,
        digests={policy: store.digest(registry.policy(policy)) for policy in about},
        result=msgspec.Raw(msgspec.json.encode(result)),
    )


def _right(registry: Registry, policy: str, baseline: str, command: str, report: _Reporter) -> None:
    """Verify the policy; the verdicts go to the ledger."""
    from foliolab.framework.verify import attacks, ledger, verifier
    from foliolab.framework.verify.attack import Budget

    scheme = registry.policy(policy)
    budget = Budget(ATTACK_SECONDS)
    kind, source = registry.origin(scheme)

    def listen(news: object) -> None:
        report("verify", int(1000 * (1 - budget.left / ATTACK_SECONDS)), 1000)

    found = verifier.verify(
        scheme, attacks.chosen(), budget, listen, command=command, plugin=source if kind == "file" else ""
    )
    ledger.keep(found, scheme)


def _precise(registry: Registry, policy: str, baseline: str, command: str, report: _Reporter) -> object:
    from foliolab.framework.plugins.selection import parse_ranges
    from foliolab.framework.precision.session import PrecisionRequest, precision

    numbers = sorted({n for span in parse_ranges(MMS, "a number of MMs", "1-16") for n in span})
    request = PrecisionRequest(
        patterns=list(registry.patterns.values()), schemes=[registry.policy(policy)], mms=numbers, folios=FOLIOS,
        execution=_execution(), command=command,
    )  # fmt: skip
    return _complete(precision(request, report))


def _cost(registry: Registry, policy: str, baseline: str, command: str, report: _Reporter) -> object:
    from foliolab.framework.run.supervise import compare_run

    return None if policy == baseline else _complete(compare_run(_cost_request(registry, policy, baseline), report))


def _cost_request(registry: Registry, policy: str, baseline: str, execution: Execution | None = None) -> RunRequest:
    from foliolab.framework.plugins.selection import parse_sizes
    from foliolab.framework.run.request import build

    largest = min(registry.policy(name).policy.max_order for name in (policy, baseline))
    return build(
        registry,
        policies=(baseline, policy),
        baseline=baseline,
        workloads=[workload.name for workload in typical(registry)],
        sizes=[order for order in parse_sizes(SIZES) if order <= largest],
        memory=MEMORY,
        spare=SPARE,
        execution=execution,
    )


def _proc(registry: Registry, policy: str, baseline: str, command: str, report: _Reporter) -> object:
    from foliolab.framework.consequences import session
    from foliolab.framework.consequences.sources import FromPattern, usage_for

    sources = [FromPattern(pattern, usage_for(4), 1, MOMENTS) for pattern in registry.patterns.values()]
    request = session.ConsequencesRequest(
        sources=sources, schemes=[registry.policy(policy)], command=command, execution=_execution()
    )
    return _complete(session.follow(request, report))


WAYS: Final[dict[str, Callable[[Registry, str, str, str, _Reporter], object]]] = {
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

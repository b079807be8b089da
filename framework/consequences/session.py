"""All sources of moments under all policies, into a result; a policy that fails does not end the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from foliolab.framework.consequences.result import AskedBy, ConsequencesResult, PolicyOutcome, SourceResult
from foliolab.framework.consequences.sources import MomentSource
from foliolab.framework.consequences.tally import Tally
from foliolab.framework.contract.asker import Asker
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.answers import describe
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import BeyondDeclared, ExitCode, FolioLabError
from foliolab.framework.isolation.blame import time_limit
from foliolab.framework.results import provenance

Progress = Callable[[str, int, int], None]
Partial = Callable[[Callable[[], ConsequencesResult]], object]
"""Called after each policy on each source, with a function that makes the incomplete result."""
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class ConsequencesRequest:
    """What to follow.

    Args:
        sources: in the order of the report.
        askers: in the order of the report; none: figures and the split queue only.
        seed: the seed that the sources have, for the result.
        mms: processes of sharing patterns at a time, for the result.
        patience: seconds that one policy may take on one source.
    """

    sources: Sequence[MomentSource]
    schemes: Sequence[Scheme]
    askers: Sequence[Asker]
    seed: int = 1
    mms: int = 0
    command: str = ""
    execution: Execution = "native"
    patience: float = 600.0


def follow(
    request: ConsequencesRequest, progress: Progress | None = None, partial: Partial | None = None
) -> ConsequencesResult:
    """Run every source under every policy.

    Args:
        progress: called with each source and policy.
        partial: called after each.

    Returns:
        the result; `complete` is False if it was interrupted.
    """
    started = provenance.now()
    followed: list[list[PolicyOutcome]] = [[] for _ in request.sources]

    def made(complete: bool) -> ConsequencesResult:
        return ConsequencesResult(
            complete=complete,
            command=request.command,
            **provenance.origin(started),
            seed=request.seed,
            mms=request.mms,
            askers=[_asked_by(asker) for asker in request.askers],
            sources=[
                SourceResult(name=source.name, summary=source.summary, size=source.size, outcomes=list(outcomes))
                for source, outcomes in zip(request.sources, followed, strict=True)
                if outcomes
            ],
        )

    cases = [
        (source, scheme, outcomes)
        for source, outcomes in zip(request.sources, followed, strict=True)
        for scheme in request.schemes
    ]
    try:
        for number, (source, scheme, outcomes) in enumerate(cases):
            if progress:
                progress(f"{source.name}, {scheme.name}", number, len(cases))
            outcomes.append(_outcome(source, scheme, request))
            if outcomes[-1].stopped == INTERRUPTED:
                return made(False)
            if partial:
                partial(lambda: made(False))
    except KeyboardInterrupt:
        return made(False)
    return made(True)


def _asked_by(asker: Asker) -> AskedBy:
    return AskedBy(**{name: getattr(asker, name) for name in AskedBy.__struct_fields__})


def _outcome(source: MomentSource, scheme: Scheme, request: ConsequencesRequest) -> PolicyOutcome:
    """One policy on one source; an error becomes part of the outcome."""
    tally = Tally(scheme, request.askers)
    if why := source.unfit(scheme):
        return tally.outcome(why)
    stopped, code = "", ExitCode.GOOD
    try:
        with time_limit(request.patience, f"{source.name} with policy {scheme.name}"):
            source.run(tally, request.execution)
    except KeyboardInterrupt:
        stopped = INTERRUPTED
    except BeyondDeclared as fault:
        stopped = f"not for this policy: {fault.what}"
    except FolioLabError as fault:
        stopped, code = str(fault).replace("\n ", ";"), fault.exit_code
    except MemoryError:
        stopped, code = "there is not enough memory for its tables", ExitCode.COMPARISON_FAILED
    except Exception as fault:  # whatever a policy's, a pattern's or a workload's own code raises
        stopped, code = describe(fault), ExitCode.PLUGIN_FAILED
    return tally.outcome(stopped, int(code))


def exit_code(result: ConsequencesResult) -> int:
    """What a result means for the exit status.

    A policy or an asker that failed decides it, or a policy that claims to be safe and made the kernel act on a shared
    folio.
    """
    outcomes = [outcome for source in result.sources for outcome in source.outcomes]
    if not any(outcome.moments for outcome in outcomes):
        return int(ExitCode.NOTHING_MEASURED)
    if failed := max(outcome.exit_code for outcome in outcomes):
        return failed
    if result.failed:
        return int(ExitCode.PLUGIN_FAILED)
    covered = {asker.name for asker in result.askers if asker.safe}
    broken = any(broke_safe(outcome, covered) for outcome in outcomes)
    return int(ExitCode.COMPARISON_FAILED) if broken else int(ExitCode.GOOD)


def broke_safe(outcome: PolicyOutcome, covered: Set[str]) -> bool:
    """Whether a policy claims to be safe, and its answer made the kernel act on a shared folio.

    Args:
        covered: the askers for which that breaks the claim.
    """
    return outcome.safe and any(decided.risked for decided in outcome.decisions if decided.name in covered)

"""All courses under all policies, into a result; what one policy breaks, the others survive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foliolab.framework.consequences.decisions import DECISIONS
from foliolab.framework.consequences.result import ConsequencesResult, Course, Outcome
from foliolab.framework.consequences.sources import Source
from foliolab.framework.consequences.tally import Ledger
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.answers import describe
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import ExitCode, FolioLabError
from foliolab.framework.isolation.blame import time_limit
from foliolab.framework.results import provenance

Progress = Callable[[str, int, int], None]
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class ConsequencesRequest:
    """What to follow.

    Args:
        courses: in the order of the report.
        schemes: the policies.
        seed: what the courses' was, for the result.
        mms: processes of patterns at a time, likewise.
        command: what repeats it.
        execution: native or interpreted.
        patience: seconds after which a course counts as endless.
    """

    courses: Sequence[Source]
    schemes: Sequence[Scheme]
    seed: int = 1
    mms: int = 0
    command: str = ""
    execution: Execution = "native"
    patience: float = 600.0


def follow(request: ConsequencesRequest, progress: Progress | None = None) -> ConsequencesResult:
    """Take every policy through every course.

    Args:
        request: what to do.
        progress: told of every course.

    Returns:
        the result; `complete` is False if it was interrupted.
    """
    started = provenance.now()
    courses: list[Course] = []
    complete = True
    total = len(request.courses) * len(request.schemes)
    for source in request.courses:
        outcomes: list[Outcome] = []
        for scheme in request.schemes:
            if progress:
                progress(f"{source.name}, {scheme.name}", len(courses) * len(request.schemes) + len(outcomes), total)
            outcomes.append(_one(source, scheme, request))
            complete = outcomes[-1].stopped != INTERRUPTED
            if not complete:
                break
        courses.append(Course(name=source.name, summary=source.summary, size=source.size, outcomes=outcomes))
        if not complete:
            break
    return ConsequencesResult(
        complete=complete,
        command=request.command,
        **provenance.origin(started),
        seed=request.seed,
        mms=request.mms,
        courses=courses,
    )


def _one(source: Source, scheme: Scheme, request: ConsequencesRequest) -> Outcome:
    """One policy in one course; what goes wrong is part of the answer."""
    ledger = Ledger(scheme)
    if why := source.unfit(scheme):
        return ledger.outcome(why)
    stopped, code = "", ExitCode.GOOD
    try:
        with time_limit(request.patience, f"{source.name} with policy {scheme.name}"):
            source.run(ledger, request.execution)
    except KeyboardInterrupt:
        stopped = INTERRUPTED
    except FolioLabError as fault:
        stopped, code = str(fault).replace("\n ", ";"), fault.exit_code
    except MemoryError:
        stopped, code = "there is not enough memory for its tables", ExitCode.COMPARISON_FAILED
    except Exception as fault:  # whatever a policy's, a pattern's or a workload's own code raises
        stopped, code = describe(fault), ExitCode.PLUGIN_FAILED
    return ledger.outcome(stopped, int(code))


def exit_code(result: ConsequencesResult) -> int:
    """What a result means for the exit status.

    A policy that failed decides it; also one that claims to be safe and had something done though shared.
    """
    outcomes = [outcome for course in result.courses for outcome in course.outcomes]
    if not any(outcome.moments for outcome in outcomes):
        return int(ExitCode.NOTHING_MEASURED)
    if failed := max(outcome.exit_code for outcome in outcomes):
        return failed
    return int(ExitCode.COMPARISON_FAILED) if any(map(broke_safe, outcomes)) else int(ExitCode.GOOD)


def broke_safe(outcome: Outcome) -> bool:
    """Whether somebody did by a policy's answer what its claim to be safe rules out."""
    rests_on_it = {asker.name for asker in DECISIONS if asker.safe}
    return outcome.safe and any(one.risked for one in outcome.decisions if one.name in rests_on_it)

"""What docs/real-programs.md needs of the recordings: figures of every run, from replays, in docs/data/programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import onerun  # type: ignore[import-not-found]  # found where this script lies
from program import Program  # type: ignore[import-not-found]
from programs import PROGRAMS  # type: ignore[import-not-found]

from foliolab.framework.kernel.recorded import models_of
from foliolab.framework.plugins import registry
from foliolab.framework.replay import session
from foliolab.framework.replay.costs import load_costs
from foliolab.framework.replay.result import Costs, Replayed, ReplayResult, Spared
from foliolab.framework.report.answer import answer
from foliolab.framework.trace.file import Trace

ROOT: Final = Path(__file__).parents[2]
DATA: Final = ROOT / "docs" / "data" / "programs"
LEFT_OUT: Final = "left-out"
SIZES: Final = (64, 2048)
"""In KiB. The first is recorded of all programs, the others of those that get such folios."""
POLICIES: Final = ("page-mapcount", "mm-id", "no-page-mapcount", "rmap-id", "exact")
SAMPLES: Final = 60


class OfPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a policy gets wrong in a run.

    Attributes:
        copies: copies of pages of large folios that it makes beyond the policy that knows every owner.
        false_share: the share of large folios x time that one MM maps and it calls maybe shared.
        longest: the longest such time of a folio, in ns.
        unsafe: the share that several MMs map and it calls exclusive.
        frames: page frames at the peak, beyond the policy that knows every owner.
    """

    copies: int
    false_share: float
    longest: int
    unsafe: float
    frames: int


class OfRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run.

    Attributes:
        started: when, which tells a run from all others.
        work: how much the program did.
        load: the load average of the machine.
        span: from the first to the last event, in ns.
        events, forks, lost: counts.
        large: large folios that the program got.
        folios: large folios at a time, at most, as far as samples show.
        mms: MMs that mapped the same large folio at a time, at most.
        several, beyond: the shares of large folios x time that several MMs map, and more than the recorded kernel's
            policy has room for.
        writes, copied, reused: write faults on large folios of known history, and what the kernel did.
        older: MMs that are older than the trace.
        certain, uncertain: how many outcomes the policy of the recorded kernel predicts, and of how many.
        referenced: how many of the certain ones the kernel copied where the policy reuses the page.
        ns: the time of the recorded kernel's copies beyond the policy that knows every owner; None: not known.
        teardown: when the replay tore down MMs.
        policies: by name.
    """

    started: str
    work: int
    load: float
    span: int
    events: int
    forks: int
    lost: int
    large: int
    folios: int
    mms: int
    several: float
    beyond: float
    writes: int
    copied: int
    reused: int
    older: int
    certain: tuple[int, int]
    uncertain: tuple[int, int]
    referenced: int
    ns: float | None
    teardown: str
    policies: dict[str, OfPolicy]


class OfProgram(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The runs of a program with large folios of a size.

    Attributes:
        name: of the program.
        kib: the size.
        kernel, machine: on which it ran.
        cores: of the machine.
        model: the policy that models the kernel.
        runs: in order.
        sentences: with which `foliolab replay` of all runs begins.
        command: the replay, as a user types it.
    """

    name: str
    kib: int
    kernel: str
    machine: str
    cores: int
    model: str
    runs: list[OfRun]
    sentences: list[str]
    command: str


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What could not be recorded.

    Attributes:
        programs: why, by name: their packages cannot be had.
        runs: why, by program, size and number: what came of the last attempt.
        small: programs whose first run got too few folios of a size, with their number, by program and size.
    """

    programs: dict[str, str] = {}
    runs: dict[str, str] = {}
    small: dict[str, int] = {}


def nameless(text: str) -> str:
    """A text without the folders of this machine."""
    for folder, name in ((sys.prefix, "VENV"), (str(ROOT), "."), (tempfile.gettempdir(), "TMP")):
        text = text.replace(folder, name)
    return re.sub(r"TMP/(?:[\w.-]+/)+", "TMP/", text)


def recorded(result: ReplayResult) -> Replayed:
    """The policy that models the recorded kernel."""
    return next(one for one in result.policies if one.recorded)


def share(one: Replayed, first: int) -> float:
    """The share of large folios x time that at least so many MMs map."""
    return sum(one.owner_ns[first - 1 :]) / (sum(one.owner_ns) or 1)


def of_policy(result: ReplayResult, one: Replayed, best: Replayed) -> OfPolicy:
    """What a policy gets wrong."""
    total = sum(one.owner_ns) or 1
    return OfPolicy(
        copies=one.count("large", policy="copied") - best.count("large", policy="copied"),
        false_share=one.false_share,
        longest=one.false_shared.longest,
        unsafe=one.unsafe.folio_ns / total,
        frames=one.frames_peak - best.frames_peak,
    )


def of_run(result: ReplayResult, note: onerun.Note) -> OfRun:
    """The figures of a run.

    Raises:
        SystemExit: a policy did not replay the whole trace, or none models the kernel.
    """
    best = result.yardstick
    if best is None or not all(one.whole for one in result.policies) or not any(p.recorded for p in result.policies):
        stopped = "; ".join(one.stopped for one in result.policies if one.stopped)
        raise SystemExit(
            f"{result.recording.path}: not replayed under all policies: {stopped or 'none models the kernel'}"
        )
    model, recording = recorded(result), result.recording
    return OfRun(
        started=recording.header.started,
        work=note.work,
        load=note.load,
        span=recording.span,
        events=recording.events,
        forks=recording.kinds.get("fork", 0),
        lost=recording.header.lost,
        large=note.large,
        folios=max((sum(sample.folios) for sample in best.samples), default=0),
        mms=best.most_owners,
        several=share(best, 2),
        beyond=share(best, (model.exact_up_to or 0) + 1),
        writes=best.count("large"),
        copied=best.count("large", "copied"),
        reused=best.count("large", "reused"),
        older=sum(space.earlier for space in recording.header.mms),
        certain=model.agreement(True),
        uncertain=model.agreement(False),
        referenced=model.count("large", "copied", "reused", certain=True),
        ns=Spared.by(model, best, result.costs).ns,
        teardown=result.teardown,
        policies={
            one.policy.partition(":")[0]: of_policy(result, one, best) for one in result.policies if one is not best
        },
    )


def replayed(trace: Path, costs: Costs) -> ReplayResult:
    """A trace under the policies."""
    schemes = session.schemes_of(registry.load(()), POLICIES)
    header = Trace(trace).header
    request = session.ReplayRequest(
        path=trace.name, schemes=schemes, recorded=models_of(header, schemes), samples=SAMPLES, costs=costs
    )
    return session.replay(request)


def costs_here(path: Path) -> Costs:
    """What a copy and a reuse cost in the model, here; measured once."""
    if not path.exists():
        options = ("--workloads", "cow-byte,reuse-byte", "--sizes", "64K", "--memory", "64M", "--json", str(path))
        words = onerun.foliolab("compare", "--policies", "mm-id", *options)
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return load_costs(path)


def of_program(program: Program, kib: int, traces: Sequence[Path], costs: Costs) -> OfProgram:
    """The figures of a program's runs, whose traces are in the working folder."""
    results = [replayed(trace, costs) for trace in traces]
    notes = [note for trace in traces if (note := onerun.note_of(trace)) is not None]
    header = results[0].recording.header
    return OfProgram(
        name=program.name,
        kib=kib,
        kernel=header.kernel,
        machine=header.machine,
        cores=notes[0].cores,
        model=recorded(results[0]).policy,
        runs=[of_run(result, note) for result, note in zip(results, notes, strict=True)],
        sentences=[nameless(sentence) for sentence in answer(results)],
        command=f"foliolab replay {program.name}-{kib}-*.folio --policies {','.join(POLICIES[:-1])}",
    )


def write_all(folder: Path, anew: bool = False) -> None:
    """Compute the figures of all traces in a folder, and write them.

    Args:
        folder: where `record.py` has put traces.
        anew: also those of traces whose figures are there already.
    """
    costs = costs_here(folder / "costs.json")
    DATA.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # so that results name traces by their file names
    failed, small = dict[str, str](), dict[str, int]()
    for program, kib in ((program, kib) for program in PROGRAMS for kib in SIZES):
        found = sorted(Path().glob(f"{program.name}-{kib}-[0-9]*.note"))
        notes = {path: note for path in found if (note := onerun.note_of(path)) is not None}
        failed |= {path.stem: nameless(note.why) for path, note in notes.items() if note.why}
        traces = [path.with_suffix(".folio") for path in notes if onerun.done(path)]
        out = DATA / f"{program.name}-{kib}.json"
        if len(traces) == 1 and kib != SIZES[0]:
            small[f"{program.name}-{kib}"] = notes[found[0]].large
        elif traces and (anew or not is_of(out, traces)):
            made = of_program(program, kib, traces, costs)
            out.write_bytes(msgspec.json.encode(made) + b"\n")
            print(f"{out.name}: {len(made.runs)} runs, {out.stat().st_size:,} bytes", flush=True)
    left = LeftOut(programs=onerun.unavailable(folder), runs=failed, small=small)
    (DATA / f"{LEFT_OUT}.json").write_bytes(msgspec.json.encode(left) + b"\n")


def is_of(out: Path, traces: Sequence[Path]) -> bool:
    """Whether a file has the figures of just these traces."""
    try:
        known = msgspec.json.decode(out.read_bytes(), type=OfProgram)
    except (OSError, msgspec.MsgspecError):
        return False
    return [run.started for run in known.runs] == [Trace(trace).header.started for trace in traces]

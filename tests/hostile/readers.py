"""Every reader of a file that somebody else may have written, with valid files to begin from."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import lzma
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from foliolab.framework import calibration, cli
from foliolab.framework.consequences.figures import FIGURES
from foliolab.framework.consequences.result import (
    AskedBy,
    ConsequencesResult,
    Decided,
    Figured,
    PartlyMapped,
    PolicyOutcome,
    SourceResult,
)
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.host import HostInfo
from foliolab.framework.plugins import published, registry
from foliolab.framework.precision.result import JudgedPolicy, PlayedWorkload, Point, PrecisionResult
from foliolab.framework.replay.result import Ended, Wrong
from foliolab.framework.results.result import Cell, Config, Result
from foliolab.framework.trace import importers
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.workloads.askers.linux import ASKERS

SAMPLES: Final = Path(__file__).parents[1] / "trace" / "samples"
ORIGIN: Final[dict[str, Any]] = {
    "complete": True,
    "started": "2026-01-01T00:00:00+00:00",
    "finished": "2026-01-01T00:01:00+00:00",
    "versions": {"python": "3"},
    "machine": HostInfo(cpu="a CPU", cores=2, memory_bytes=1 << 33, os="an OS"),
    "kernel": "6.18.1 #1 SMP",
    "git": "",
}


@dataclass(frozen=True)
class Reader:
    """A reader.

    Args:
        suffix: of its files.
        seeds: valid files.
        read: takes a file.
        share: of the mutations that other readers get; less for one that takes seconds.
    """

    name: str
    suffix: str
    seeds: Sequence[bytes]
    read: Callable[[Path], None]
    share: float = 1.0


def foliolab(*words: object) -> None:
    """A command, in this process."""
    sys.argv = ["foliolab", *map(str, words)]
    cli.main()


def warm(folder: Path) -> None:
    """Load the plugins and native code once for all commands of this process.

    The children of a jail inherit both. Without native code each child would compile within the processor time that its
    reader has.
    """
    found, load = registry.load(), registry.load
    Machine(found.policy("mm-id"), Shape(64, 2, 64, max_order=2), "native").create(0)
    registry.load = lambda files=(), strict=False: load(files, strict) if files else found  # type: ignore[assignment]
    seed = folder / "warm.folio"
    seed.write_bytes(trace(folder))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        _replay(seed)


# -- valid files -----------------------------------------------------------------------------------------
def comparison(
    sizes: Sequence[int] = (16, 64), kind: str = "compare", policies: Sequence[str] = ("page-mapcount", "mm-id")
) -> Result:
    """A result of compare, or of kernel bench."""
    known = registry.load()
    cells = [
        Cell(
            workload=workload,
            size_kib=size,
            policy=policy,
            counted={"atomics": 1.25, "bits_per_folio": 96.0},
            samples=[10.0 + i % 3 + number for i in range(7)],
        )
        for workload in ("munmap", "fork")
        for size in sizes
        for number, policy in enumerate(policies)
    ]
    config = Config(
        policies=list(policies),
        baseline=policies[0],
        workloads=["munmap", "fork"],
        sizes=list(sizes),
        memory=1 << 20,
        policy_parameters={
            name: dict(known.policy(name).values) if name in known.policies else {} for name in policies
        },
        repeats=7,
        seed=1,
        quick=False,
    )
    return Result(command="foliolab compare", config=config, cells=cells, kind=kind, notes=["a note"], **ORIGIN)


def precise() -> PrecisionResult:
    wrong = Wrong(
        folio_ns=3,
        page_ns=48,
        episodes=1,
        longest=3,
        ops=2,
        median=3,
        ninth=3,
        ends=[Ended(event="exit", how="gone", times=1)],
    )
    points = [
        Point(
            policy=policy,
            workload="last-child",
            mms=mms,
            events=9,
            exclusive_ops=5,
            exclusive_time=9,
            shared_ops=3,
            shared_time=4,
            false_shared=wrong,
        )
        for policy in ("mm-id", "exact")
        for mms in (1, 2)
    ]
    judged = [JudgedPolicy(name=name, safe=True, exact=name == "exact", exact_up_to=2) for name in ("mm-id", "exact")]
    played = [
        PlayedWorkload(name="last-child", summary="the last child"),
        PlayedWorkload(name="t.folio", summary="sh", recorded=True),
    ]
    return PrecisionResult(
        command="foliolab precision",
        seed=1,
        order=4,
        folios=4,
        mms=[1, 2],
        workloads=played,
        policies=judged,
        points=points,
        **ORIGIN,
    )


def consequences() -> ConsequencesResult:
    outcomes = [
        PolicyOutcome(
            policy=policy,
            safe=True,
            moments=5,
            decisions=[Decided(name=one.name, asked=3, held_back=1) for one in ASKERS],
            figures=[
                Figured(name=one.name, values=4, high=1, sum=2.0, relative=3, relative_sum=0.5) for one in FIGURES
            ],
            partial=PartlyMapped(folios=2, late=1, late_moments=3),
        )
        for policy in ("mm-id", "exact")
    ]
    source = SourceResult(name="last-child", summary="the last child", size=64, outcomes=outcomes)
    askers = [
        AskedBy(name=one.name, who="w", when="n", exclusive="e", shared="s", source="2.8", safe=True) for one in ASKERS
    ]
    return ConsequencesResult(command="foliolab consequences", seed=1, mms=4, askers=askers, sources=[source], **ORIGIN)


def counterexample(**changes: Any) -> Counterexample:
    """A schedule of two threads."""
    whole = Counterexample(
        policy="mm-id",
        attack="explored",
        law="mapcount",
        claim="",
        message="folio 0: mapcount 2, 1 mappings",
        shape={"nr_pages": 16, "nr_mms": 2, "nr_vpns": 8, "nr_cpus": 2, "max_order": 2, "contents": 0, "scratch": 0},
        setup=["create mm=0", "create mm=1", "file_folio order=2"],
        threads=[["map_file mm=0 vpn=0 pfn=0 nr=1", "unmap mm=0 start=0 nr=1"], ["map_file mm=1 vpn=0 pfn=0 nr=1"]],
        schedule="0*27 1*6 0*12 1*10",
    )
    return msgspec.structs.replace(whole, **changes)


def sequence() -> Counterexample:
    """A sequence of whole operations."""
    steps = [
        "create mm=0",
        "populate mm=0 start=0 nr=4 order=2",
        "fork parent=0 child=1 mm_id=7",
        "write mm=1 start=1 nr=2 value=3 nbytes=3",
        "pin mm=0 vpn=0",
        "unpin pfn=0",
        "get_user pfn=1 nr=2",
        "put_user pfn=1 nr=1",
        "swap_cache pfn=0",
        "swap_out mm=0 vpn=3",
        "swap_in mm=0 vpn=3",
        "protect mm=0 start=0 nr=4",
        "mremap mm=0 start=0 to=4 nr=2",
        "maybe_shared pfn=0",
        "mapcount pfn=0",
        "kpagecount pfn=0",
        "exclusive pfn=0",
        "unmap mm=0 start=1 nr=2 flush=0",
        "flush_gather",
        "exit mm=1",
    ]
    return counterexample(setup=[], threads=[steps], schedule="", attack="random")


def findings() -> bytes:
    verdict = {
        "claim": "safe",
        "verdict": "refuted",
        "date": "2026-01-01",
        "attack": "random",
        "law": "safe",
        "message": "m",
    }
    record = {
        "policy": "mm-id",
        "digest": "0" * 16,
        "verdicts": [verdict, verdict | {"verdict": "held", "claim": "exact"}],
    }
    return json.dumps({"schema": 2, "records": [record]}).encode()


def witnesses() -> bytes:
    witness = {"release": "7.3.4", "options": "no MM IDs", "scenarios": 3, "writes": 9, "differences": 0, "date": "d"}
    record = {"policy": "mm-id", "digest": "0" * 16, "source": "", "witnesses": [witness, witness]}
    return json.dumps({"schema": 1, "records": [record]}).encode()


SCENARIO: Final = b"""# a comment
scenario one-of-each
| What it shows.
by mm-id

region heap: 2 x 64K pte, room 16
region big: 1 x 2M

A: fork B without heap[0-3]
B: write heap[4-9] = 7 -> copied
A: pin heap[0] as p
A: unpin p
A: vmsplice heap[1] as v
A: peek v
A: expect heap[4-9] owners 2 by exact
A: mremap heap[4-5] to heap[32]
A: mprotect heap[6-7]
B: exit
A: read heap[8] -> 1
A: cold heap[9]
"""
FIGURES_TOML: Final = b"""[[table]]
source = "V1 (a message)"
machine = "a computer"
baseline = "page-mapcount"
workload = "munmap"
sizes = [16, 64]
meaning = "time"
note = "one line"
[table.percent]
mm-id = [2, -3.5]

[[table]]
source = "V2"
machine = ""
baseline = "page-mapcount"
workloads = ["munmap", "fork"]
size_kib = 16
[table.percent]
"mm-id:slots=2" = [1, 4]
"""


FTRACE: Final = b"""\
CPU:1 [LOST 3 EVENTS]
  bash-7     (      7) [001] d...  10.000010: page_fault_user: address=0x10000 ip=0x7f error_code=0x7
  bash-7     (      7) [001] ....  10.000011: mm_page_alloc: page=0000000057 pfn=0x99 order=0 migratetype=1 gfp_flags=X
  bash-7     (      7) [001] ...21 10.000020: task_newtask: pid=8 comm=bash clone_flags=10100 oom_score_adj=0
  bash-8     (-------) [000] ....  10.000030: sys_munmap(addr: 20000, len: 1000)
  bash-8     (-------) [000] ....  10.000031: sys_munmap -> 0x0
"""
PERF_TRACE: Final = b"""\
     1.500 x/7 exceptions:page_fault_user(address: 0x10000, ip: 4195786, error_code: 7)
     1.501 x/7 kmem:mm_page_alloc(pfn: 153, order: 0, gfp_flags: 1051072, migratetype: 1)
     1.502 x/7 task:task_newtask(pid: 8, comm: "y", clone_flags: 17)
LOST 9 events!
"""


def trace(folder: Path) -> bytes:
    """A trace, made of the sample of bpftrace."""
    importers.convert(SAMPLES / "phases.bpftrace.txt", folder / "seed.folio")
    return (folder / "seed.folio").read_bytes()


def beginning(name: str, lines: int) -> bytes:
    """The first lines of a sample."""
    return b"\n".join((SAMPLES / name).read_bytes().split(b"\n")[:lines]) + b"\n"


def encoded(document: msgspec.Struct) -> bytes:
    return msgspec.json.encode(document)


# -- readers ---------------------------------------------------------------------------------------------
def _with(path: Path, name: str, data: bytes) -> Path:
    """Another file in the folder of the one that is read."""
    other = path.with_name(name)
    if not other.exists():
        other.write_bytes(data)
    return other


def _witnesses(path: Path) -> None:
    from foliolab.framework.kernel import witnesses

    assert all(one.text for record in witnesses.load(path) for one in record.witnesses)


def _ledger(path: Path) -> None:
    from foliolab.framework.verify import ledger

    for record in ledger.load(path):
        assert all(verdict.text and verdict.headline for verdict in record.verdicts)


def _published(path: Path) -> None:
    from foliolab.framework.report import formats
    from foliolab.framework.results.comparison import compare

    figures = published.load(path)
    result = comparison()
    rows = compare(result, published=figures, resolve=registry.load().parameters_of)
    formats.comparison_text(result, rows, [], "md")


def _calibration(path: Path) -> None:
    from foliolab.framework.calibration import prediction
    from foliolab.framework.report import calibration as report
    from foliolab.framework.report.comparison import csvfile, terminal
    from foliolab.framework.report.pages.document import DocumentPage
    from foliolab.framework.results.comparison import compare

    found = calibration.Calibration.load(path)
    result = comparison()
    rows = compare(result)
    forecast = prediction.predict(result, rows, found, lambda policy: True)
    report.render(found, DocumentPage())
    terminal.render(result, rows, DocumentPage(), forecast)
    csvfile.write(rows, path.with_suffix(".csv"), forecast)


THP_STATE: Final = b"""{
 "pid": 1,
 "time": "2026-01-01T00:00:00+00:00",
 "values": {"hugepages-64kB/enabled": "madvise", "hugepages-2048kB/enabled": "inherit", "enabled": "always"}
}
"""


def _thp_state(path: Path) -> None:
    """What `kernel restore` reads, as far as no setting is changed."""
    from foliolab.framework.kernel import settings

    settings.state_file = lambda: path
    settings._put_back = lambda values: []
    settings.switches = lambda: (
        {64: settings.THP / "hugepages-64kB/enabled", 0: settings.THP / "enabled"}
        | {2048: settings.THP / "hugepages-2048kB/enabled"}
    )
    settings._restore_leftover()


POLICY: Final = b'''"""A policy."""
from dataclasses import replace
from foliolab.framework.api import atomic_read
from foliolab.policies import mm_id

LIMIT = 1


def maybe_mapped_shared(folio):
    return atomic_read(folio._large_mapcount) + 1 > LIMIT


POLICY = replace(mm_id.POLICY, name="mine", hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared))
'''


def _policy_text(path: Path) -> None:
    """The text of a policy's file, parsed and compiled as a plugin's is, but not run; and as the window shows it."""
    from foliolab.framework.plugins import declaration, discovery
    from foliolab.framework.report.functions import function_at

    class Parsed:
        __file__ = str(path)

    declaration.location_in(Parsed, "mine")
    function_at(str(path), 10)
    loader = discovery._FreshLoader("input", str(path))

    def parse(attempt: discovery.Attempt) -> None:
        loader.get_code("input")

    failure = discovery.Attempt(discovery.source_of(path)).run(parse)
    if failure is not None:
        sys.stderr.write(f"foliolab: {failure.message}\n")
        raise SystemExit(4)


WINDOW: Final = """
import sys
from pathlib import Path
from readers import window
window(Path(sys.argv[1]))
"""


def window(path: Path) -> None:
    """The window with a file of settings, which has its layouts and its last session; closing it writes the file."""
    from PySide6.QtCore import QSettings
    from PySide6.QtWidgets import QApplication

    from foliolab.gui.application import make
    from foliolab.gui.window.settings import Settings

    application = QApplication.instance() or QApplication(["foliolab", "-platform", "offscreen"])
    assert isinstance(application, QApplication)
    made = make(application, [], Settings(QSettings(str(path), QSettings.Format.IniFormat)))
    made.show()
    application.processEvents()
    made.close()
    made.deleteLater()
    application.processEvents()


def window_settings(folder: Path) -> list[bytes]:
    """The settings that a window leaves; none where there is no Qt. Qt starts in a process of its own."""
    path = folder / "window.ini"
    words = [sys.executable, "-c", WINDOW, str(path)]
    subprocess.run(words, cwd=Path(__file__).parent, check=False, capture_output=True, timeout=300)
    return [path.read_bytes()] if path.is_file() else []


def _verdicts(path: Path) -> None:
    from foliolab.framework.sweep import merging

    merging.verdict_rows(merging.verified([path], ""))


def _costs(path: Path) -> None:
    from foliolab.framework.replay.costs import load_costs

    load_costs(path)


def all_readers(folder: Path) -> list[Reader]:
    """Every reader.

    Args:
        folder: for what the seeds are made of.
    """
    kernel = comparison(policies=("linux",), kind="kernel-bench", sizes=(16, 64, 128, 256))
    model = comparison(sizes=(16, 64, 128, 256))
    values = dict(registry.load().policy("mm-id").values)
    calibrated = encoded(calibration.calibrate(kernel, model, "mm-id", values, True))
    from foliolab.framework.verify.finding import Finding
    from foliolab.framework.verify.verifier import Verdicts, Verification

    finding = Finding("explored", "safe", "refuted", "2 threads", counterexample(), 10, 0.5)
    verification = Verification(
        policy="mm-id",
        digest="0",
        claims=["safe"],
        findings=[finding],
        interrupted=False,
        seconds=1.0,
        started="2026-01-01T00:00:00",
    )
    compared, studies = encoded(comparison()), [encoded(precise()), encoded(consequences())]
    formats = ("md", "html", "csv", "svg")
    settings = window_settings(folder)
    made = [
        Reader(
            f"report {form}", ".json", [compared, *(studies if form != "svg" else [])], functools.partial(_report, form)
        )
        for form in formats
    ]
    return [
        *made,
        Reader("diff", ".json", [compared, *studies], _diff),
        Reader(
            "step",
            ".json",
            [encoded(counterexample()), encoded(sequence())],
            lambda path: foliolab("step", "--dump", path),
        ),
        Reader("run", ".scenario", [SCENARIO], lambda path: foliolab("run", path)),
        Reader("run --format", ".scenario", [SCENARIO], lambda path: foliolab("run", "--format", path)),
        Reader("published figures", ".toml", [FIGURES_TOML], _published),
        Reader("calibration", ".json", [calibrated], _calibration),
        Reader("kernel calibrate", ".json", [encoded(kernel), encoded(model)], _calibrate),
        Reader("findings", ".json", [findings()], _ledger),
        Reader("witnesses", ".json", [witnesses()], _witnesses),
        Reader("verdicts", ".json", [encoded(Verdicts(verifications=[verification]))], _verdicts),
        Reader("costs", ".json", [compared], _costs),
        Reader("kernel restore", ".json", [THP_STATE], _thp_state),
        Reader("policy's text", ".py", [POLICY], _policy_text),
        *([Reader("window's settings", ".ini", settings, window, share=0.05)] if settings else []),
        Reader("import strace", ".txt", [beginning("phases.strace.txt", 80)], _import("strace")),
        Reader("import perf", ".txt", [beginning("phases.perf.txt", 80)], _import("perf")),
        Reader("import ftrace", ".txt", [FTRACE], _import("ftrace")),
        Reader("import perf-trace", ".txt", [PERF_TRACE], _import("perf-trace")),
        Reader("import bpftrace", ".txt", [beginning("phases.bpftrace.txt", 80)], _import("bpftrace")),
        Reader("import snapshots", ".txt", [beginning("phases.snapshots.jsonl", 12)], _import("snapshots")),
        Reader("import", ".txt", [beginning("phases.strace.txt", 30), beginning("phases.perf.txt", 30)], _import("")),
        Reader("import compressed", ".gz", [gzip.compress(FTRACE), lzma.compress(PERF_TRACE)], _import("")),
        Reader(
            "replay",
            ".folio",
            [trace(folder)],
            _replay,
        ),
    ]


def _replay(path: Path) -> None:
    foliolab("replay", path, "--policies", "mm-id", "--samples", 5)


def _report(form: str, path: Path) -> None:
    foliolab("report", path, "--format", form, "-o", path.with_suffix(f".{form}"))


def _diff(path: Path) -> None:
    whole = path.read_bytes()
    kinds = {b'"precision"': precise, b'"consequences"': consequences}
    make = next((kind for word, kind in kinds.items() if word in whole[:200]), comparison)
    foliolab("diff", path, _with(path, f"good-{make.__name__}.json", encoded(make())))


def _calibrate(path: Path) -> None:
    bench = b"kernel-bench" in path.read_bytes()[:300]
    other = (
        comparison(sizes=(16, 64, 128, 256))
        if bench
        else comparison(policies=("linux",), kind="kernel-bench", sizes=(16, 64, 128, 256))
    )
    beside = _with(path, f"good-{bench}.json", encoded(other))
    both = (path, beside) if bench else (beside, path)
    foliolab("kernel", "calibrate", *both, "--policy", "mm-id", "--out", path.with_name("out.json"))


def _import(form: str) -> Callable[[Path], None]:
    words = ("--format", form) if form else ()
    return lambda path: foliolab("import", path, "-o", path.with_suffix(".folio"), *words)

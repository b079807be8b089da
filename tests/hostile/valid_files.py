"""Valid files of every kind that FolioLab reads, for tests that damage them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

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
from foliolab.framework.host import HostInfo
from foliolab.framework.plugins import registry
from foliolab.framework.precision.result import JudgedPolicy, PlayedWorkload, Point, PrecisionResult
from foliolab.framework.replay.result import Ended, Wrong
from foliolab.framework.results.result import Cell, Config, Result
from foliolab.framework.trace import importers
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.policies.askers.linux import ASKERS

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

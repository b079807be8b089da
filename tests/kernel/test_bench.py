"""`kernel bench`: requests, disturbed and failed measurements, and real runs where the host allows them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.errors import ExitCode, KernelError, UsageError
from foliolab.framework.kernel import bench, guards, probe, running, sampler, settings
from foliolab.framework.kernel.bench import BenchRequest
from foliolab.framework.kernel.sampler import BenchSample, SampleRequest, WrongFolios
from foliolab.framework.plugins.registry import load
from foliolab.framework.results import comparison
from foliolab.framework.results.result import Cell, Result

MIB = 1 << 20
PATIENCE = 120.0
"""Seconds that a test waits for another run that has the THP settings before it is skipped."""


def missing(*names: str) -> str:
    """Why the kernel cannot be measured on this host; empty if it can."""
    for name in ("Linux", *names):
        found = probe.capability(name)
        if not found.available:
            return f"{name}: {found.reason}"
    return ""


on_linux = pytest.mark.skipif(bool(missing()), reason=missing())
EXACT = ("root", "THP settings", "PFNs", "kpageflags", "vmstat")
exactly = pytest.mark.skipif(bool(missing(*EXACT)), reason=missing(*EXACT))


@contextmanager
def settings_ours() -> Iterator[None]:
    """Skip where another run has the THP settings for too long."""
    try:
        yield
    except KernelError as fault:
        if "is using the THP settings of this host" in fault.what:
            pytest.skip(fault.what)
        raise


def request(benchmarks: str = "munmap", sizes: tuple[int, ...] = (4, 64), **others: Any) -> BenchRequest:
    plain: dict[str, Any] = {"memory": 8 * MIB, "rounds": 3, "seed": 1, "children": 2, "wait": PATIENCE}
    return BenchRequest(benchmarks=tuple(benchmarks.split(",")), sizes=sizes, **plain | others)


def silent(phase: str, done: int, total: int) -> None:
    pass


# -- what is asked -----------------------------------------------------------------------------------
def test_anon_cow_shares_the_memory() -> None:
    asked = request("munmap,anon-cow-seq", memory=64 * MIB, children=4)
    assert asked.memory_of("munmap") == 64 * MIB
    assert asked.memory_of("anon-cow-seq") == 12 * MIB  # a fifth, in whole 2 MiB
    assert bench.memory_needed(asked) == 64 * MIB
    assert bench.memory_needed(request("fork,cow")) == 16 * MIB


@pytest.mark.parametrize(("name", "least"), [("munmap", 2), ("anon-cow-rand", 6)])
def test_too_little_memory(name: str, least: int) -> None:
    request(name, memory=least * MIB)
    with pytest.raises(UsageError, match="too little memory") as fault:
        request(name, memory=least * MIB - 1)
    assert f"{least} MiB" in fault.value.hint


# -- a run with made-up measurements ------------------------------------------------------------------
@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Root on a kernel with two sizes. `answer` makes the measurements, and `asked` has the requests."""
    for kib in (64, 2048):
        folder = tmp_path / "thp" / f"hugepages-{kib}kB"
        folder.mkdir(parents=True)
        (folder / "enabled").write_text("never" if kib == 64 else "madvise")
    monkeypatch.setattr(settings, "THP", tmp_path / "thp")
    monkeypatch.setattr(settings, "RUN", tmp_path / "run")
    absent: set[str] = set()
    monkeypatch.setattr(probe, "capability", lambda name: probe.Capability(name, name not in absent, "made up"))
    kept: dict[str, Any] = {"asked": [], "absent": absent, "answer": lambda asked: BenchSample(2.0, 1.0, [])}

    def sample(asked: SampleRequest, witness: str) -> BenchSample:
        kept["asked"].append((asked.benchmark, asked.kib, settings.resolved_mode(64), witness))
        answer: BenchSample = kept["answer"](asked)
        return answer

    monkeypatch.setattr(sampler, "sample", sample)
    return kept


def cells(result: Result) -> dict[tuple[str, int], Cell]:
    return {(cell.workload, cell.size_kib): cell for cell in result.cells}


@on_linux
def test_every_case_once_a_round_in_another_order_each(made_up: dict[str, Any]) -> None:
    result = bench.bench(request("munmap,fork,remap", (4, 64, 2048), rounds=5), silent)
    first, *asked = made_up["asked"]
    assert first == ("munmap", 4, "never", "pfn")  # warms up, and is not kept
    rounds = [tuple(call[:2] for call in asked[i : i + 7]) for i in range(0, 35, 7)]
    expected = {(n, k) for n in ("munmap", "fork") for k in (4, 64, 2048)} | {("remap", 2048)}
    assert all(set(calls) == expected for calls in rounds)
    assert len(set(rounds)) > 1
    assert all((kib == 64) == (mode == "madvise") for _, kib, mode, _ in asked)
    assert settings.resolved_mode(64) == "never" and settings.resolved_mode(2048) == "madvise"
    assert (result.kind, result.config.policies, result.complete) == ("kernel-bench", ["linux"], True)
    found = cells(result)
    assert found["munmap", 64].samples == [2.0] * 5
    assert found["munmap", 64].counted == {"copies": 1.0}
    assert (found["remap", 64].status, found["remap", 2048].status) == ("skipped", "measured")
    assert "2048 KiB only" in found["remap", 64].reason
    assert comparison.failed(comparison.compare(result), result) is None
    made_up["asked"].clear()
    bench.bench(request("munmap,fork,remap", (4, 64, 2048), rounds=5), silent)
    assert made_up["asked"][1:] == asked  # the seed decides


@on_linux
def test_a_result_file_holds_it(made_up: dict[str, Any], tmp_path: Path) -> None:
    result = bench.bench(request(), silent)
    result.save(tmp_path / "bench.json")
    assert Result.load(tmp_path / "bench.json") == result


@on_linux
def test_what_the_kernel_disturbed_is_measured_again_and_flagged_where_it_always_does(made_up: dict[str, Any]) -> None:
    turns: Counter[int] = Counter()

    def answer(asked: SampleRequest) -> BenchSample:
        turns[asked.kib] += 1
        always, once = asked.kib == 64, turns[asked.kib] == 3
        return BenchSample(float(turns[asked.kib]), None, ["pages migrated"] if always or once else [])

    made_up["answer"] = answer
    result = bench.bench(request(), silent)
    small, large = cells(result)["munmap", 4], cells(result)["munmap", 64]
    assert (small.samples, small.flagged) == ([2.0, 4.0, 5.0], [])
    assert (large.samples, large.flagged) == ([4.0, 8.0, 12.0], [0, 1, 2])
    assert any(note.startswith("10 measurements were repeated") for note in result.notes)
    assert small.counted == {}


@on_linux
def test_a_failure_costs_its_case_only(made_up: dict[str, Any]) -> None:
    def answer(asked: SampleRequest) -> BenchSample:
        if asked.kib == 64:
            raise KernelError("it died", "more memory")
        return BenchSample(2.0, None, [])

    made_up["answer"] = answer
    result = bench.bench(request(), silent)
    assert Counter(call[1] for call in made_up["asked"]) == {4: 4, 64: 1}
    assert (cells(result)["munmap", 64].status, cells(result)["munmap", 64].reason) == ("failed", "it died")
    (failure,) = result.failures
    assert (failure.workload, failure.size_kib, failure.message) == ("munmap", 64, "it died")
    fault = comparison.failed(comparison.compare(result), result)
    assert fault is not None and fault.exit_code == ExitCode.COMPARISON_FAILED


@on_linux
@pytest.mark.parametrize("fails", [bench.ATTEMPTS - 1, bench.ATTEMPTS])
def test_wrong_folios_get_further_chances(made_up: dict[str, Any], fails: int) -> None:
    left = Counter({64: fails})

    def answer(asked: SampleRequest) -> BenchSample:
        if left[asked.kib] > 0:
            left[asked.kib] -= 1
            raise WrongFolios("folios of 64 KiB were asked for; there are 512 of 4 KiB")
        return BenchSample(2.0, None, [])

    made_up["answer"] = answer
    result = bench.bench(request(rounds=1), silent)
    assert cells(result)["munmap", 64].status == ("measured" if fails < bench.ATTEMPTS else "failed")


@on_linux
def test_a_time_below_what_is_subtracted_is_no_time(made_up: dict[str, Any]) -> None:
    made_up["answer"] = lambda asked: BenchSample(-1.0 if asked.kib == 64 else 2.0, None, [])
    result = bench.bench(request(), silent)
    assert "no longer than what is subtracted" in cells(result)["munmap", 64].reason


@on_linux
def test_ctrl_c_keeps_what_there_is(made_up: dict[str, Any]) -> None:
    def answer(asked: SampleRequest) -> BenchSample:
        if len(made_up["asked"]) == 4:
            raise KeyboardInterrupt
        return BenchSample(2.0, None, [])

    made_up["answer"] = answer
    result = bench.bench(request(), silent)
    assert not result.complete
    assert sum(len(cell.samples) for cell in result.cells) == 2
    assert settings.resolved_mode(64) == "never"


@on_linux
def test_without_root_what_is_enabled_is_measured_and_the_rest_says_why(made_up: dict[str, Any]) -> None:
    made_up["absent"] |= {"root", "THP settings", "PFNs", "kpageflags"}
    result = bench.bench(request(sizes=(4, 64, 2048)), silent)
    assert {call[1:] for call in made_up["asked"]} == {(4, "never", "count"), (2048, "never", "count")}
    assert cells(result)["munmap", 64].reason == "folios of 64 KiB are not enabled, and changing that takes root"
    assert any("without root" in note for note in result.notes)
    assert any("without PFNs" in note for note in result.notes)
    (settings.THP / "hugepages-64kB/enabled").write_text("always")
    result = bench.bench(request(sizes=(4, 64, 2048)), silent)
    assert cells(result)["munmap", 64].reason.startswith("folios of 2048 KiB are enabled, too, and come first")
    made_up["absent"] |= {"nr_anon"}
    result = bench.bench(request(sizes=(64, 2048)), silent)
    assert "cannot be seen" in cells(result)["munmap", 2048].reason
    fault = comparison.failed(comparison.compare(result), result)
    assert fault is not None and fault.exit_code == ExitCode.NOTHING_MEASURED


@on_linux
def test_two_runs_never_meet(made_up: dict[str, Any]) -> None:
    with settings.exclusive(), pytest.raises(KernelError, match="is using the THP settings of this host"):
        bench.bench(request(wait=0.0), silent)


def test_elsewhere_than_on_linux(made_up: dict[str, Any]) -> None:
    made_up["absent"] |= {"Linux"}
    with pytest.raises(KernelError, match="Linux cannot be used here"):
        bench.bench(request(), silent)


# -- the real kernel -----------------------------------------------------------------------------------
def reuses() -> bool:
    """Whether this kernel reuses large folios, by the policy that models it."""
    scheme = running.matching(load())
    return scheme is not None and "reuse" in scheme.capabilities


@exactly
@pytest.mark.slow
def test_all_benchmarks_on_this_kernel() -> None:
    sizes = (4, *settings.sizes())
    with settings_ours():
        result = bench.bench(request(",".join(bench.BENCHMARKS), sizes, memory=12 * MIB, rounds=2), silent)
    assert (result.complete, result.failures) == (True, [])
    found = cells(result)
    for (name, kib), cell in found.items():
        if name == "remap" and kib != settings.PMD_KIB:
            assert cell.status == "skipped"
        else:
            assert len(cell.samples) == 2, (name, kib, cell.reason)
    for kib in sizes:
        assert found["cow-byte", kib].counted == found["cow", kib].counted == {"copies": 1.0}
        spared = 0.0 if kib == 4 or reuses() else 1.0
        for name in ("reuse-byte", "child-reuse-byte", "reuse"):
            assert found[name, kib].counted == {"copies": spared}, (name, kib)


@exactly
def test_a_size_that_the_kernel_does_not_give_is_seen() -> None:
    with settings_ours(), settings.exclusive(PATIENCE) as thp:
        thp.only(None)
        with pytest.raises(WrongFolios, match=r"64 KiB were asked for; there are 512 of 4 KiB"):
            sampler.sample(SampleRequest("munmap", 64, 2 * MIB, (0,), 1, 1), "pfn")


@on_linux
def test_without_pfns_the_counters_see_it() -> None:
    """The largest enabled size, as without root: the counters show the folio size and the reuse."""
    usable = [kib for kib in settings.sizes() if settings.resolved_mode(kib) in ("always", "madvise")]
    if not usable or not probe.capability("nr_anon").available:
        pytest.skip("no large folios are enabled, or there are no counters of them")
    kib = usable[-1]
    cpus = tuple(os.sched_getaffinity(0))
    try:
        taken = sampler.sample(SampleRequest("reuse-byte", kib, 32 * MIB, cpus, 1, 1), "count")
    except WrongFolios as fault:
        pytest.skip(f"memory is fragmented, or another run has the settings: {fault.what}")
    assert taken.ns_per_page > 0
    assert taken.copies == pytest.approx(0.0 if reuses() else 1.0, abs=0.3)  # other programs count as well


@on_linux
def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(KernelError, match=r"measures nonsense at 4 KiB failed: KeyError"):
        sampler.sample(SampleRequest("nonsense", 4, 2 * MIB, (0,), 1, 1), "count")
    cpus = tuple(os.sched_getaffinity(0))
    with pytest.raises(KernelError, match=r"munmap at 4 KiB failed: .*(Errno|Overflow)"):
        sampler.sample(SampleRequest("munmap", 4, 1 << 62, cpus, 1, 1), "count")


@on_linux
def test_a_process_that_dies_or_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "child.py"
    monkeypatch.setattr(sampler, "PROGRAM", program)
    program.write_text("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(KernelError, match=r"died \(SIGKILL\)"):
        sampler.sample(SampleRequest("munmap", 4, 2 * MIB, (0,), 1, 1), "count")
    monkeypatch.setattr(sampler, "TIMEOUT", 0.2)
    program.write_text("import time; time.sleep(99)")
    with pytest.raises(KernelError, match=r"did not answer within 0.2 s"):
        sampler.sample(SampleRequest("munmap", 4, 2 * MIB, (0,), 1, 1), "count")


@on_linux
def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a measurement ends early, the child that cow-byte forked ends, too."""
    seen: list[int] = []
    hear = sampler._Process.receive

    def interrupted(process: sampler._Process) -> dict[str, Any]:
        said = hear(process)
        seen.append(said["pid"])
        if len(seen) == 2:  # by now it has forked
            raise KeyboardInterrupt
        return said

    monkeypatch.setattr(sampler._Process, "receive", interrupted)
    monkeypatch.setattr(guards, "read", lambda: {})
    with pytest.raises(KeyboardInterrupt):
        sampler.sample(SampleRequest("cow-byte", 4, 2 * MIB, tuple(os.sched_getaffinity(0)), 1, 1), "count")
    for _ in range(100):
        if not members(seen[0]):
            break
        time.sleep(0.05)
    assert members(seen[0]) == []


def members(session: int) -> list[str]:
    """Living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


COMMAND = (sys.executable, "-P", "-m", "foliolab.framework.cli", "kernel", "bench")


@exactly
def test_ctrl_c_ends_the_command_with_what_there_is(tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    arguments = ["--benchmarks", "munmap", "--sizes", "4K", "--memory", "2M", "--rounds", "1000"]
    wait = ["--wait", str(PATIENCE), "--json", str(target)]
    process = subprocess.Popen([*COMMAND, *arguments, *wait], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + PATIENCE
    while not settings.state_file().exists() or json.loads(settings.state_file().read_text())["pid"] != process.pid:
        if time.monotonic() > until or process.poll() is not None:
            process.kill()
            said = process.communicate()[1]
            assert "settings" in said, said
            pytest.skip(f"another run has the THP settings: {said}")
        time.sleep(0.02)
    before = json.loads(settings.state_file().read_text())["values"]  # from when it had the settings to itself
    assert before
    while not (target.exists() and Result.load(target).cells) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, "")
    assert "Partial: the run was interrupted" in out
    result = Result.load(target)
    assert not result.complete
    assert 0 < len(result.cells[0].samples) < 1000
    assert {name: settings.mode_of(settings.THP / name) for name in before} == before


@exactly
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv (util-linux)")
def test_the_command_as_another_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    become = ["setpriv", "--reuid=65534", "--clear-groups"]
    read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]  # this Python may lie where others cannot
    done = subprocess.run(
        [*become, *read, *COMMAND, "--benchmarks", "munmap,cow-byte", "--sizes", "4K,64K", "--memory", "2M"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HOME": str(tmp_path), "FOLIOLAB_CONFIG": str(tmp_path), "FOLIOLAB_CACHE": str(tmp_path)},
    )
    if "cannot set" in done.stderr or "setpriv:" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert "Note: without root: only folio sizes that are enabled" in done.stdout
    assert "Note: without PFNs" in done.stdout

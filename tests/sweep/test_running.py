"""Sweeps survive lost workers, damaged files and interruption, and count what a serial run counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foliolab.framework.engine.engine import native_missing
from foliolab.framework.results.result import Result
from foliolab.framework.sweep import merging, running
from foliolab.framework.sweep.folder import Folder
from foliolab.framework.sweep.running import State, sweep
from foliolab.framework.sweep.task import Done, Task, TaskFailed, TaskLost
from foliolab.framework.verify.verifier import Verdicts, Verification

pytestmark = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")
GRID = ("--policies", "page-mapcount,mm-id", "--workloads", "munmap,fork", "--sizes", "16K,64K", "--memory", "4M",
        "--repeats", "5")  # fmt: skip


def made(nr: int) -> list[Task]:
    return [Task(f"task {i}", ("verify", str(i))) for i in range(nr)]


def verdicts(interrupted: bool = False) -> bytes:
    one = Verification(policy="p", digest="", claims=[], findings=[], interrupted=interrupted, seconds=1, started="")
    return msgspec.json.encode(Verdicts(verifications=[one]))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Tasks that take no time; what each is to do, by name: an exception, or data."""
    plan: dict[str, list[Any]] = {}

    def run(task: Task) -> Done:
        what = plan[task.name].pop(0) if plan.get(task.name) else verdicts()
        if isinstance(what, BaseException):
            raise what
        return Done(what, 0.1, "here")

    monkeypatch.setattr(running, "run", run)
    return plan


def pool() -> Executor:
    return ThreadPoolExecutor(2)


# -- the runner --------------------------------------------------------------------------------------
def test_all_are_run_and_nothing_twice(fake: dict[str, list[Any]], tmp_path: Path) -> None:
    told: list[int] = []
    folder = Folder(tmp_path / "out")
    state = sweep(made(5), folder, pool, lambda state: told.append(state.done))
    assert state.done == 5 and state.found == 0 and told[0] == 0 and told[-1] == 5
    state = sweep(made(7), folder, pool)
    assert state.done == 7 and state.found == 5


def test_a_lost_worker_costs_a_second_try(fake: dict[str, list[Any]], tmp_path: Path) -> None:
    fake["task 1"] = [BrokenProcessPool("gone")]
    state = sweep(made(3), Folder(tmp_path), pool)
    assert state.done == 3 and not state.failed


def test_a_task_that_always_kills_its_worker_is_given_up(fake: dict[str, list[Any]], tmp_path: Path) -> None:
    fake["task 1"] = [BrokenProcessPool("gone") for _ in range(20)]
    state = sweep(made(3), Folder(tmp_path), pool)
    assert state.done == 2 and "lost" in state.failed["task 1"]


def test_a_pool_that_breaks_while_it_is_filled_is_made_anew(fake: dict[str, list[Any]], tmp_path: Path) -> None:
    class Brittle(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **named: Any) -> Future[Any]:
            if self._work_queue.qsize() or (pools.index(self) == 0 and arguments[1].name != "task 0"):
                raise BrokenProcessPool("gone")
            return super().submit(*arguments, **named)

    pools: list[Any] = []

    def make() -> Executor:
        pools.append(Brittle(1))
        return pools[-1]

    state = sweep(made(3), Folder(tmp_path), make)
    assert state.done == 3 and len(pools) >= 2


def test_what_fails_is_named_and_the_rest_is_kept(fake: dict[str, list[Any]], tmp_path: Path) -> None:
    fake["task 0"] = [TaskFailed("task 0: ended with 4: no luck", "repeat it alone")]
    fake["task 1"] = [b"{"]
    fake["task 2"] = [verdicts(interrupted=True)]
    folder = Folder(tmp_path)
    state = sweep(made(4), folder, pool)
    assert state.done == 1 and set(state.failed) == {"task 0", "task 1", "task 2"}
    assert "no luck" in state.failed["task 0"] and "damaged" in state.failed["task 1"]
    assert "interrupted" in state.failed["task 2"]
    assert sweep(made(4), folder, pool).found == 1


def test_a_file_that_is_not_this_tasks_whole_result_is_made_again(fake: dict[str, list[Any]], tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    tasks = made(5)
    sweep(tasks, folder, pool)
    half, cut, other, empty, good = map(folder.path_of, tasks)
    half.write_bytes(verdicts(interrupted=True))
    cut.write_bytes(cut.read_bytes()[:-20])
    other.write_bytes(good.read_bytes())
    empty.write_bytes(b"{}")
    assert [folder.has(task) for task in tasks] == [False] * 4 + [True]
    assert sweep(tasks, folder, pool).found == 1 and all(map(folder.has, tasks))


def test_a_file_that_changes_while_its_task_runs_spoils_the_result(
    fake: dict[str, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("one")
    task = Task("task", ("verify", "x"), files=(str(plugin),))
    monkeypatch.setattr(running, "run", lambda task: (plugin.write_text("three"), Done(verdicts(), 0.1, "here"))[1])
    state = sweep([task], Folder(tmp_path / "out"), pool)
    assert f"{plugin} has changed since the sweep began" in state.failed["task"]


def test_a_task_that_is_killed_is_tried_again(fake: dict[str, list[Any]], tmp_path: Path) -> None:
    fake["task 0"] = [TaskLost("task 0: it was killed from outside")]
    fake["task 1"] = [TaskLost("task 1: it was killed from outside") for _ in range(20)]
    state = sweep(made(2), Folder(tmp_path), pool)
    assert state.done == 1 and state.failed == {"task 1": f"task 1: it was killed from outside, {running.TRIES} times"}


def test_the_time_that_is_left(fake: dict[str, list[Any]]) -> None:
    assert State(10).left is None
    left = State(10, done=5, began=time.monotonic() - 10).left
    assert left is not None and 9 < left < 11


# -- the command -------------------------------------------------------------------------------------
def foliolab(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foliolab.framework.cli", *words], capture_output=True, text=True, cwd=folder,
        check=False, timeout=250,
    )  # fmt: skip


def counted(path: Path) -> dict[tuple[str, int, str], dict[str, float]]:
    return {cell.key: cell.counted for cell in Result.load(path).cells}


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serial")
    done = foliolab("compare", *GRID, "--json", "serial.json", folder=folder)
    assert done.returncode in (0, 1), done.stderr
    return folder / "serial.json"


@pytest.mark.slow
def test_a_sweep_counts_what_a_serial_run_counts_and_is_resumed(tmp_path: Path, serial: Path) -> None:
    done = foliolab("sweep", "-o", "out", *GRID, "--workers", "2", "--parquet", "out.parquet", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 tasks done, 0 of them before" in done.stdout
    assert counted(tmp_path / "out" / "result.json") == counted(serial)
    assert any("beside other tasks" in note for note in Result.load(tmp_path / "out" / "result.json").notes)
    pyarrow = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 8 and {"policy", "size_kib", "atomics", "samples"} <= set(table.column_names)
    one = sorted((tmp_path / "out").glob("compare-*.json"))[0]
    one.unlink()
    again = foliolab("sweep", "-o", "out", *GRID, "--workers", "2", folder=tmp_path)
    assert "4 of 4 tasks done, 3 of them before" in again.stdout
    assert counted(tmp_path / "out" / "result.json") == counted(serial)


@pytest.mark.slow
def test_a_crashing_plugin_costs_its_task(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from foliolab.framework.api import Workload\n"
        "def prepare(machine, setting):\n    raise ValueError('no luck')\n"
        "WORKLOAD = Workload(name='unlucky', summary='fails', prepare=prepare)\n"
    )
    words = ("sweep", "-o", "out", "--policies", "page-mapcount,mm-id", "--workloads", "munmap,unlucky", "--sizes",
             "64K", "--memory", "4M", "--repeats", "5", "--plugin", "mine.py")  # fmt: skip
    done = foliolab(*words, folder=tmp_path)
    assert done.returncode == 1 and "no luck" in done.stderr and "Traceback" not in done.stderr
    assert "unlucky" in done.stderr and "munmap" not in done.stderr.replace("munmap,unlucky", "")
    assert [cell.workload for cell in Result.load(tmp_path / "out" / "result.json").cells] == ["munmap", "munmap"]


@pytest.mark.slow
def test_verifications_are_swept_too(tmp_path: Path) -> None:
    policies = "no-page-mapcount,total-mapped-pages"
    words = ["sweep", "-o", "out", "--kind", "verify", "--policies", policies, "--budget", "1"]
    done = foliolab(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "out" / "verdicts.json").read_text())
    assert [one["policy"] for one in told["verifications"]] == ["no-page-mapcount", "total-mapped-pages"]
    rows = merging.verdict_rows(merging.verified([tmp_path / "out" / "verdicts.json"], ""))
    assert {row["policy"] for row in rows} == {"no-page-mapcount", "total-mapped-pages"}
    assert {row["verdict"] for row in rows} <= {"held", "undecided"}


READER = """
from foliolab.framework.api import hookimpl
from foliolab.framework.contract.trace_records import Fault
from foliolab.framework.contract.trace_reader import TraceReader

def read(source):
    for line in source:
        time, pid, page = map(int, line.split()[1:])
        yield Fault(time, 0, pid, pid, page << 12, 7, False)

@hookimpl
def foliolab_trace_readers():
    return [TraceReader("mine", "my lines", lambda head: head.startswith("mine "), read)]
"""


@pytest.mark.slow
def test_replays_of_several_traces_become_one_file_and_one_table(tmp_path: Path) -> None:
    (tmp_path / "reader.py").write_text(READER)
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("mine 1000 7 1\nmine 2000 7 2\n")
        done = foliolab("import", f"{name}.txt", "-o", f"{name}.ftrace", "--plugin", "reader.py", folder=tmp_path)
        assert done.returncode == 0, done.stderr
    done = foliolab("sweep", "-o", "out", "--kind", "replay", "--trace", "one.ftrace", "--trace", "two.ftrace",
                    "--policies", "exact,mm-id", "--parquet", "out.parquet", folder=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = merging.Replays.load(tmp_path / "out" / "replays.json")
    told = [(Path(one.recording.path).name, [done.policy for done in one.policies]) for one in found.replays]
    assert told == [("one.ftrace", ["exact", "mm-id"]), ("two.ftrace", ["exact", "mm-id"])]
    pyarrow = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(Path(row["trace"]).name, row["policy"]) for row in table] == [
        (name, policy) for name, policies in told for policy in policies
    ]
    assert all(row["stopped"] == "" and row["events"] > 0 for row in table)


@pytest.mark.slow
def test_ctrl_c_ends_it_soon_and_keeps_what_is_done(tmp_path: Path) -> None:
    # a shell starts what runs behind it without SIGINT
    begin = (
        "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('foliolab.framework.cli', run_name='__main__')"
    )
    words = [sys.executable, "-c", begin, "sweep", "-o", "out", *GRID, "--seeds",
             ",".join(map(str, range(1, 9))), "--workers", "1"]  # fmt: skip
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not list(tmp_path.glob("out/compare-*.json")) and time.monotonic() < until:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "the same command continues" in said and "Traceback" not in said
    assert 1 <= len(list(tmp_path.glob("out/compare-*.json"))) < 32


def test_an_absent_scheduler_is_said(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    done = foliolab("sweep", "-o", "out", "--scheduler", "tcp://127.0.0.1:9", folder=tmp_path)
    assert done.returncode == 2 and "no Dask scheduler answers" in done.stderr and "Traceback" not in done.stderr


def test_certificates_are_passed_on_and_nothing_goes_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    from foliolab.framework.sweep.pool import Certificates, Cluster

    distributed = pytest.importorskip("distributed")
    asked: list[Any] = []
    monkeypatch.setattr(distributed, "Client", lambda address, timeout, security: asked.append(security))
    Cluster("tls://one:1", Certificates("ca.pem", "me.pem", "me.key"))
    Cluster("tls://one:1")
    Cluster("tcp://one:1")
    tls, configured, plain = asked
    assert (tls.tls_ca_file, tls.tls_client_cert, tls.tls_client_key) == ("ca.pem", "me.pem", "me.key")
    assert tls.require_encryption and configured.require_encryption and not plain.require_encryption

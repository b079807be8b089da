"""Sweeps on Dask: a real LocalCluster, and a scheduler with two workers of which one is killed in the middle."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foliolab.framework.engine.engine import native_missing
from foliolab.framework.results.result import Result

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")]
GRID = ("--policies", "page-mapcount,mm-id", "--workloads", "munmap,fork", "--sizes", "16K,64K", "--memory", "4M",
        "--repeats", "5", "--seeds", "1")  # fmt: skip
PATIENCE = 120


def sweep(address: str, folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "foliolab.framework.cli", "sweep", "-o", "out", *GRID, *more, "--scheduler", address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip


def serial(folder: Path, *more: str) -> dict[tuple[str, int, str], dict[str, float]]:
    words = [sys.executable, "-m", "foliolab.framework.cli", "compare", *GRID[:-2], *more, "--json", "serial.json"]
    subprocess.run(words, cwd=folder, check=False, capture_output=True, timeout=PATIENCE)
    return {cell.key: cell.counted for cell in Result.load(folder / "serial.json").cells}


def swept(folder: Path) -> dict[tuple[str, int, str], dict[str, float]]:
    return {cell.key: cell.counted for cell in Result.load(folder / "out" / "result.json").cells}


def test_a_local_cluster_counts_what_a_serial_run_counts(tmp_path: Path) -> None:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(tmp_path)
    ) as cluster:
        process = sweep(cluster.scheduler_address, tmp_path)
        out, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert "4 of 4 tasks done, 0 of them before; 0 failed" in out
    assert swept(tmp_path) == serial(tmp_path)


class Cluster:
    """A scheduler and workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        place = folder / "scheduler.json"
        self._start("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(place))
        until = time.monotonic() + PATIENCE
        found = None
        while found is None and time.monotonic() < until:
            time.sleep(0.1)
            found = re.search(r"tcp://[0-9.:]+", place.read_text()) if place.is_file() else None
        assert found is not None, "the scheduler has not started"
        self.address = found[0]

    def worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                           "--local-directory", str(self.folder))  # fmt: skip

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=self.folder, start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


def test_a_worker_that_is_killed_in_the_middle_costs_nothing(cluster: Cluster, tmp_path: Path) -> None:
    first, _ = cluster.worker(), cluster.worker()
    with distributed.Client(cluster.address, timeout=f"{PATIENCE}s") as client:
        client.wait_for_workers(2, timeout=PATIENCE)
    process = sweep(cluster.address, tmp_path, "--sizes", "32K,128K,256K")
    until = time.monotonic() + PATIENCE
    while not list(tmp_path.glob("out/compare-*.json")) and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    out, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert re.search(r"10 of 10 tasks done, 0 of them before; 0 failed", out)
    assert swept(tmp_path) == serial(tmp_path, "--sizes", "32K,128K,256K")


def processes(folder: Path) -> list[int]:
    """The processes of tasks of sweeps in a folder: their commands name a file of a folder there, see TMPDIR."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"{folder}/".encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def wait_until(true: Callable[[], object]) -> bool:
    until = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < until:
        time.sleep(0.1)
    return bool(true())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_tasks_do_not_outlive_a_sweep_that_is_stopped(
    number: signal.Signals, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    cluster.worker()
    monkeypatch.delenv("TMPDIR")
    process = sweep(cluster.address, tmp_path, "--memory", "1G", "--repeats", "1000")
    assert wait_until(lambda: processes(scratch)), process.communicate(timeout=PATIENCE)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    assert wait_until(lambda: not processes(scratch))
    assert not list(scratch.glob("**/result.json"))


def certificates(folder: Path) -> dict[str, str]:
    """A certificate that signs itself, and its key, as files: for scheduler, worker and client."""
    key, own = str(folder / "key.pem"), str(folder / "own.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", own, "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return {"ca": own, "cert": own, "key": key}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_a_cluster_with_tls_takes_only_who_has_a_certificate(tmp_path: Path) -> None:
    mine, strange = tmp_path / "mine", tmp_path / "strange"
    mine.mkdir()
    strange.mkdir()
    ours, theirs = certificates(mine), certificates(strange)
    security = distributed.Security(
        tls_ca_file=ours["ca"], require_encryption=True,
        **{f"tls_{who}_{what}": ours[what] for who in ("client", "scheduler", "worker") for what in ("cert", "key")},
    )  # fmt: skip
    options = {whose: [f"--dask-tls-{what}={file}" for what, file in files.items()]
               for whose, files in {"ours": ours, "theirs": theirs, "none": {}}.items()}  # fmt: skip
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None, local_directory=str(tmp_path),
        protocol="tls://", security=security,
    ) as cluster:  # fmt: skip
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        for whose in ("theirs", "none"):
            said = sweep(address, tmp_path, *options[whose]).communicate(timeout=PATIENCE)[1]
            assert f"no Dask scheduler answers at {address}" in said
        process = sweep(address, tmp_path, *options["ours"])
        out, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert "4 of 4 tasks done, 0 of them before; 0 failed" in out
    assert swept(tmp_path) == serial(tmp_path)

"""A container that a container engine really runs, made of an image with one program, is recorded by its name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foliolab.framework.kernel.recording import cgroups, probe, session
from foliolab.framework.kernel.recording.session import Options
from foliolab.framework.kernel.recording.target import Target
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Trace

HERE = Path(__file__).parent
ENGINE = "podman"
COMMON = ("--cgroup-manager", "cgroupfs")
SECONDS = 120.0
CHILDREN_FAULTS = 8
"""The field of stat, behind the name, that counts the faults of the children that were waited for."""
RUNTIMES = ("crun", "runc")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which podman has its images and containers, for FolioLab's own question, too."""
    folder = tmp_path_factory.mktemp("podman")
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder / "images"}"\nrunroot = "{folder / "run"}"\n'
    )
    before = os.environ.get("CONTAINERS_STORAGE_CONF")
    os.environ["CONTAINERS_STORAGE_CONF"] = str(folder / "storage.conf")
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["CONTAINERS_STORAGE_CONF"]
        else:
            os.environ["CONTAINERS_STORAGE_CONF"] = before


@pytest.fixture(scope="module")
def container(stored: Path) -> Iterator[str]:
    """The name of a container that runs."""
    if os.geteuid() != 0 or shutil.which(ENGINE) is None:
        pytest.skip(f"needs root and {ENGINE}")
    root = stored / "root"
    root.mkdir()
    built = (
        run("cc", "-static", "-O1", "-o", str(root / "server"), str(HERE / "container.c"))
        if shutil.which("cc")
        else None
    )
    if built is None or built.returncode:
        pytest.skip("needs a C compiler and its static C library")
    packed, name = stored / "root.tar", f"foliolab-test-{os.getpid()}"
    run("tar", "-C", str(root), "-cf", str(packed), ".")
    said = run(ENGINE, *COMMON, "import", str(packed), name).stderr
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    options = ("--detach", "--rm", "--name", name, "--network", "none", "--log-driver", "none", *limits)
    for runtime in filter(shutil.which, RUNTIMES):
        done = run(ENGINE, *COMMON, "--runtime", runtime, "run", *options, name, "/server")
        if done.returncode == 0:
            break
        said = done.stderr
        run(ENGINE, *COMMON, "rm", "--force", name)
    else:
        pytest.skip(f"{ENGINE} runs no container here: {said.strip()[-300:] or 'no runtime'}")
    try:
        yield name
    finally:
        run(ENGINE, *COMMON, "rm", "--force", "--time", "0", name)
        run(ENGINE, *COMMON, "rmi", "--force", name)


def once_it_has_forked(pid: int) -> None:
    """End the recording, as Ctrl-C does, when two more children of a process have come and gone."""

    def reaped() -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[CHILDREN_FAULTS])

    def watch() -> None:
        for _ in range(2):
            before = reaped()
            while reaped() == before:
                time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.host
@pytest.mark.slow
def test_a_container_is_recorded_by_its_name(container: str, tmp_path: Path) -> None:
    way = probe.method("perf")
    if not way.available:
        pytest.skip(f"perf cannot record here: {way.reason}")
    number = run(ENGINE, "inspect", "--format", "{{.Id}}", container).stdout.strip()
    folder = cgroups.of_container(container)
    assert len(number) == 64 and folder == cgroups.of_container(number[:12])
    (pid,) = (int(word) for word in [run(ENGINE, "inspect", "--format", "{{.State.Pid}}", container).stdout])
    assert pid in cgroups.pids(folder)
    out = tmp_path / "trace"
    options = Options(tell=lambda said: once_it_has_forked(pid) if said.startswith("recording") else None)
    header, status = session.record(Target(container=container, seconds=SECONDS), out, "perf", options)
    assert status == 0 and header.command == f"foliolab record --container {container}"
    kinds = [kind for block in Trace(out).blocks() for kind in block.kind.tolist()]
    assert min(kinds.count(kind) for kind in (ev.PRESENT, ev.FORK, ev.EXIT, ev.WRITE)) > 0
    server = next(space for space in Trace(out).spaces() if space.pid == pid)
    assert server.comm == "server" and server.earlier

"""The programs that are recorded, and what is done to them meanwhile."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
PATIENCE: Final = 30.0
KEYS: Final = 200_000
CLIENTS: Final = 4


@dataclass(frozen=True)
class Program:
    """A program to record.

    Args:
        name: also of the result files.
        title: in the page.
        what: what it does, a sentence.
        needs: commands that must be installed.
        command: what is recorded, given a folder of its own.
        drive: what is done to it; returns when it may end, having told it so.
        prepare: what comes before, unrecorded.
    """

    name: str
    title: str
    what: str
    needs: tuple[str, ...]
    command: Callable[[Path], list[str]]
    drive: Callable[[Path], object] = lambda folder: None
    prepare: Callable[[Path], object] = lambda folder: None


def run(*command: str, check: bool = True) -> str:
    """What a command prints."""
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=180).stdout


def wait_for(path: Path) -> None:
    """Wait until there is a file."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{path} did not appear within {PATIENCE:g} s")
        time.sleep(0.05)


# -- redis ----------------------------------------------------------------------------------------
def redis(folder: Path) -> list[str]:
    return [
        "redis-server", "--port", "0", "--unixsocket", str(folder / "redis"), "--dir", str(folder), "--save", "",
        "--appendonly", "no", "--disable-thp", "no", "--loglevel", "warning",
    ]  # fmt: skip


def drive_redis(folder: Path) -> None:
    """Fill it; then three times: save in the background while clients write, and write on when that is over."""
    wait_for(folder / "redis")
    at = ("-s", str(folder / "redis"))
    load = ("redis-benchmark", *at, "-q", "-t", "set", "-d", "400", "-r", str(KEYS))
    run(*load, "-n", str(4 * KEYS), "-P", "64")
    for _ in range(3):
        run("redis-cli", *at, "bgsave")
        while "rdb_bgsave_in_progress:1" in run("redis-cli", *at, "info", "persistence"):
            run(*load, "-n", "5000", "-c", "10")
        run(*load, "-n", "30000", "-c", "10")
    run("redis-cli", *at, "shutdown", "nosave", check=False)


# -- postgres -------------------------------------------------------------------------------------
def _postgres(name: str) -> str:
    found = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), "")
    if not found:
        raise FileNotFoundError(f"there is no {name}")
    return found


def _as_postgres(*command: str) -> list[str]:
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", *command]


def prepare_postgres(folder: Path) -> None:
    folder.chmod(0o755)
    shutil.chown(folder, "postgres", "postgres")
    run(*_as_postgres(_postgres("initdb"), "-D", str(folder / "data"), "-A", "trust", "-N"))


def postgres(folder: Path) -> list[str]:
    settings = ("listen_addresses=", "shared_buffers=64MB", "work_mem=32MB", "fsync=off", "max_wal_size=256MB")
    options = [word for setting in settings for word in ("-c", setting)]
    return _as_postgres(_postgres("postgres"), "-D", str(folder / "data"), "-k", str(folder), *options)


def drive_postgres(folder: Path) -> None:
    """Fill a database; transactions in long sessions, then a session each, then sorts that need memory."""
    wait_for(folder / ".s.PGSQL.5432")
    at = ("-h", str(folder), "-U", "postgres", "postgres")
    end = time.monotonic() + PATIENCE
    while run("psql", *at[:4], "-c", "select 1", at[4], check=False) == "" and time.monotonic() < end:
        time.sleep(0.1)
    run("pgbench", "-i", "-q", "-s", "5", *at)
    run("pgbench", "-c", "8", "-j", "2", "-T", "6", *at)
    run("pgbench", "-C", "-S", "-c", "4", "-T", "4", *at)
    sort = folder / "sort.sql"
    sort.write_text("select count(*) from (select filler from pgbench_accounts order by random() limit 90000) s;\n")
    run("pgbench", "-c", "3", "-t", "2", "-f", str(sort), *at)
    os.kill(int((folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGINT)


# -- pre-forked workers ---------------------------------------------------------------------------
def workers(*more: str) -> Callable[[Path], list[str]]:
    def command(folder: Path) -> list[str]:
        return [
            "gunicorn", "--preload", "--workers", str(CLIENTS), "--bind", f"unix:{folder / 'http'}", "--pid",
            str(folder / "pid"), "--chdir", str(HERE), "--log-level", "error", *more, "preloaded:app",
        ]  # fmt: skip

    return command


def request(path: Path) -> int:
    """One HTTP request over a socket in the file system; its status."""
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(PATIENCE)
    connection.sock.connect(str(path))
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        return connection.getresponse().status
    finally:
        connection.close()


def drive_workers(folder: Path, seconds: float = 12) -> None:
    """Clients that ask one question after the other."""
    wait_for(folder / "http")
    end = time.monotonic() + seconds

    def client() -> None:
        while time.monotonic() < end:
            try:
                request(folder / "http")
                time.sleep(0.005)
            except (OSError, http.client.HTTPException):  # a worker that is being replaced
                time.sleep(0.05)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.kill(int((folder / "pid").read_text()), signal.SIGTERM)


# -- those that need no driving -------------------------------------------------------------------
def storm(folder: Path) -> list[str]:
    return ["bash", str(HERE / "storm.sh"), "150"]


def detach(how: str) -> Callable[[Path], list[str]]:
    return lambda folder: [sys.executable, "-I", "-S", str(HERE / "detach.py"), "64", "8", how]


PROGRAMS: Final = (
    Program(
        "redis", "redis-server with BGSAVE",
        "A database in memory that saves itself from a forked child, three times, while clients go on writing.",
        ("redis-server", "redis-benchmark", "redis-cli"), redis, drive_redis,
    ),
    Program(
        "postgres", "PostgreSQL with pgbench",
        "One process a session, forked from the postmaster: long sessions, a session for each query, large sorts.",
        ("postgres", "pgbench", "psql", "setpriv"), postgres, drive_postgres, prepare_postgres,
    ),
    Program(
        "workers", "gunicorn with 4 pre-forked workers",
        "The table is loaded before the workers are forked; reading it changes reference counts, so workers copy it.",
        ("gunicorn",), workers(), drive_workers,
    ),
    Program(
        "workers-recycled", "gunicorn with workers replaced after 150 requests",
        "As above, and the master forks a new worker whenever one has served its share.",
        ("gunicorn",), workers("--max-requests", "150", "--max-requests-jitter", "30"), drive_workers,
    ),
    Program(
        "bash", "bash fork storm",
        "A shell with some memory of its own: nested subshells, pipelines and substitutions, hundreds of forks.",
        ("bash",), storm,
    ),
    Program(
        "daemon", "daemon that forks twice",
        "It loads its data and forks twice; the first two processes exit once the grandchild is ready, as daemon(7) "
        "asks for, and the grandchild goes on writing.",
        (), detach("when-ready"),
    ),
    Program(
        "daemon-at-once", "daemon whose parent exits at once",
        "As above, but the first process does not wait: whether it is gone when the second one forks is a race.",
        (), detach("at-once"),
    ),
)  # fmt: skip

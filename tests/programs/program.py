"""A program to record, and what its loads have in common."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOADS: Final = Path(__file__).parent / "loads"
PATIENCE: Final = 30.0
CLIENTS: Final = 4
SECONDS: Final = 3.5
"""How long clients ask."""


class LoadFailed(Exception):
    """A program did not do its work; the message says why."""


@dataclass(frozen=True)
class Program:
    """A program to record.

    Args:
        name: also of the result files.
        title: in the page.
        what: what it does, a sentence.
        unit: what its work is counted in.
        command: what is recorded, given a folder of its own.
        drive: what is done to it; returns how much work was done. The program is then told to end.
        prepare: what comes before, unrecorded.
        packages: of Debian, that it is in.
        end: the signal that tells it to end; 0: it ends by itself, and `drive` then asks how much it did.
    """

    name: str
    title: str
    what: str
    unit: str
    command: Callable[[Path], list[str]]
    drive: Callable[[Path], int]
    prepare: Callable[[Path], object] = lambda folder: None
    packages: tuple[str, ...] = ()
    end: int = signal.SIGTERM


def run(*command: str, check: bool = True) -> str:
    """What a command prints.

    Raises:
        LoadFailed: it fails, although it is to be checked.
    """
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=3 * PATIENCE, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise LoadFailed(f"{command[0]}: {fault}") from fault
    if check and done.returncode:
        why = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise LoadFailed(f"{command[0]} ended with status {done.returncode}: {' '.join(why)}")
    return done.stdout


def wait_until(true: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something is true.

    Raises:
        LoadFailed: it does not become true.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise LoadFailed(f"{what} within {seconds:g} s")
        time.sleep(0.05)


def wait_for(path: Path) -> None:
    """Wait until there is a file."""
    wait_until(path.exists, f"{path.name} did not appear")


def free_port() -> int:
    """A port of the loopback that nobody listens to."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def port_of(folder: Path) -> int:
    """A port for the program of a folder, the same each time."""
    path = folder / "port"
    if not path.exists():
        path.write_text(str(free_port()))
    return int(path.read_text())


def listens(port: int) -> bool:
    """Whether somebody listens to a port of the loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def connect(where: Path | int) -> socket.socket:
    """A connection to a socket in the file system, or to a port of the loopback."""
    if isinstance(where, int):
        return socket.create_connection(("127.0.0.1", where), PATIENCE)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(PATIENCE)
    made.connect(str(where))
    return made


def request(where: Path | int) -> bool:
    """One HTTP request; whether it was answered."""
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
    connection.sock = connect(where)
    try:
        connection.request("GET", "/", headers={"Connection": "close", "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        answer.read()
        return answer.status == http.HTTPStatus.OK
    finally:
        connection.close()


def clients(ask: Callable[[], bool], seconds: float = SECONDS, nr: int = CLIENTS) -> int:
    """Clients that ask one question after the other; how many were answered.

    Args:
        ask: one question; a failure to connect counts as no answer, as with a worker that is being replaced.
    """
    end = time.monotonic() + seconds
    answered = [0] * nr

    def client(place: int) -> None:
        while time.monotonic() < end:
            try:
                answered[place] += ask()
                time.sleep(0.004)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)

    threads = [threading.Thread(target=client, args=(place,)) for place in range(nr)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answered)


def as_user(user: str, *command: str) -> list[str]:
    """A command as another user, in the same process."""
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", *command]


def give(folder: Path, user: str) -> None:
    """Give a folder to a user."""
    folder.chmod(0o755)
    shutil.chown(folder, user, user)


def tell(path: Path, number: int) -> None:
    """Send a signal to the process whose number is in a file."""
    with suppress(ProcessLookupError):
        os.kill(int(path.read_text()), number)


def printed(name: str) -> Callable[[Path], int]:
    """For a program that ends by itself: reads the number that it left in a file."""

    def work(folder: Path) -> int:
        try:
            return int(float((folder / name).read_text().split()[-1]))
        except (OSError, ValueError, IndexError) as fault:
            raise LoadFailed("it left no result") from fault

    return work


def script(*words: str, out: str = "done") -> Callable[[Path], list[str]]:
    """A command whose last argument is the file for its result."""

    def command(folder: Path) -> list[str]:
        return [*words, str(folder / out)]

    return command

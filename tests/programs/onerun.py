"""One recorded run of a program: it is prepared, started by the recorder, driven, ended and checked."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from program import LoadFailed, Program, wait_until  # type: ignore[import-not-found]  # found where this script lies

from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.commands import kept
from foliolab.framework.kernel.recording.processes import process_tree
from foliolab.framework.trace.file import Trace
from foliolab.framework.trace.importers.summary import summarise

MOST_SECONDS: Final = 120
"""How long a program is recorded at most."""
WAIT: Final = 900
"""How many seconds to wait for another run that uses the THP settings."""
TO_END: Final = 20.0
TRIES: Final = 2
"""How often a run is recorded, if events are lost."""
PACKAGES: Final = "packages.json"
PREFIX: Final = "run-"
"""How the folder of a program that is running begins."""
STATUS: Final = re.compile(r"the command ended with status (-?\d+)")


class Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a run beside its trace.

    Attributes:
        work: how much the program did.
        load: the load average of the last minute when the recording ended, of all that runs on this machine.
        cores: of this machine.
        large: large anonymous folios that the program got.
        lost: events.
        why: why there is no trace; empty if there is one.
    """

    work: int = 0
    load: float = 0.0
    cores: int = 0
    large: int = 0
    lost: int = 0
    why: str = ""


def note_of(trace: Path) -> Note | None:
    """The note beside a trace, or in its place; None if the run has not been tried."""
    path = trace.with_suffix(".note")
    return msgspec.json.decode(path.read_bytes(), type=Note) if path.exists() else None


def done(trace: Path) -> bool:
    """Whether a run is recorded, with its note: what was interrupted is not."""
    note = note_of(trace)
    return note is not None and not note.why and trace.exists()


def packages_of(folder: Path) -> dict[str, list[str] | str]:
    """What `record.py` knows of programs' packages: their names, or why they cannot be had."""
    path = folder / PACKAGES
    found: dict[str, list[str] | str] = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    return found


def unavailable(folder: Path) -> dict[str, str]:
    """Why programs cannot be had, by their names."""
    return {name: why for name, why in packages_of(folder).items() if isinstance(why, str)}


def write_note(trace: Path, note: Note) -> None:
    """Keep the note of a run; the last thing that is written of it."""
    trace.with_suffix(".note").write_bytes(msgspec.json.encode(note))


def foliolab(*words: str) -> list[str]:
    """FolioLab's command line in this interpreter."""
    return [sys.executable, "-m", "foliolab.framework.cli", *words]


def run_once(program: Program, kib: int, trace: Path) -> Note:
    """Record a program once, with large folios of a size; the note says what came of it. Nothing of it goes on running.

    Args:
        program: to be recorded.
        kib: the size.
        trace: the file to write.
    """
    note = Note(why="not tried")
    for _ in range(TRIES):
        try:
            work = _recorded(program, kib, trace)
            found = summarise(Trace(trace))
            large = sum(nr for order, nr in found.folios.items() if order)
            note = Note(
                work=work, load=round(os.getloadavg()[0], 1), cores=os.cpu_count() or 1, large=large,
                lost=found.header.lost,
            )  # fmt: skip
        except (LoadFailed, OSError, FolioLabError) as fault:
            trace.unlink(missing_ok=True)
            note = Note(why=str(fault))
        if not note.why and not note.lost:
            break
    write_note(trace, note)
    return note


def _recorded(program: Program, kib: int, trace: Path) -> int:
    """The work that a program did while it was recorded.

    Raises:
        LoadFailed: it did none, or the recording failed.
    """
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=trace.parent))
    place.chmod(0o755)
    messages = place / "messages"
    recorder: subprocess.Popen[bytes] | None = None
    try:
        program.prepare(place)
        command = program.command(place)
        words = foliolab(
            "record", "-o", str(trace), "--by", "perf", "--folios", f"{kib}K", "--wait", str(WAIT), "--seconds",
            str(MOST_SECONDS), "--", *command,
        )  # fmt: skip
        with messages.open("wb") as file:
            recorder = subprocess.Popen(  # in a group of its own: a program may signal all of its group
                kept(words), stdout=file, stderr=file, stdin=subprocess.DEVNULL, process_group=0
            )
        process = _started(recorder, command)
        if not program.end:
            _end(recorder, 0, 0, MOST_SECONDS + TO_END)
        work: int = program.drive(place)
        _end(recorder, process, program.end)
        said = messages.read_text("utf-8", "replace")
        status = STATUS.search(said)
        if recorder.returncode:
            raise LoadFailed(f"the recording ended with status {recorder.returncode}: {_last(said)}")
        if not program.end and status:
            raise LoadFailed(f"{status[0]}: {_last(said)}")
        if work <= 0:
            raise LoadFailed("it did none of its work")
        return work
    except LoadFailed as fault:
        said = messages.read_text("utf-8", "replace") if messages.exists() else ""
        raise LoadFailed(f"{fault} ({_last(said)})") from fault
    finally:
        if recorder is not None:
            _end(recorder, 0, 0, 0.0)
        shutil.rmtree(place, ignore_errors=True)


def _last(said: str) -> str:
    """The last line of messages, for a reason."""
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"


def _started(recorder: subprocess.Popen[bytes], command: list[str]) -> int:
    """Wait until the recorder has started the command; its process.

    Raises:
        LoadFailed: the recording failed before that.
    """
    found: list[int] = []

    def looked() -> bool:
        if recorder.poll() is not None:
            return True
        found[:] = [pid for pid in process_tree(recorder.pid) if _child_of_perf(pid, command)]
        return bool(found)

    wait_until(looked, "the command was not started", WAIT + MOST_SECONDS)
    return found[0] if found else 0


def _child_of_perf(pid: int, command: list[str]) -> bool:
    """Whether a process is the one in which perf, whose last words are the command, executes it."""
    with suppress(OSError, ValueError, IndexError):
        parent = Path("/proc") / Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        words = (parent / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        return (parent / "comm").read_text().strip() == "perf" and words[-len(command) :] == command
    return False


def _end(recorder: subprocess.Popen[bytes], process: int, number: int, seconds: float = TO_END) -> None:
    """End the command by its signal, else the recording, which kills what it has started, else the recorder.

    Args:
        process: of the command; 0: it is not told anything.
        number: the signal; 0: the command ends by itself.
        seconds: how long to wait for the command's end.
    """
    if process and number and recorder.poll() is None:
        with suppress(ProcessLookupError):
            os.kill(process, number)
    for step in (lambda: None, lambda: recorder.send_signal(signal.SIGINT), recorder.kill):
        if recorder.poll() is None:
            step()
            with suppress(subprocess.TimeoutExpired):
                recorder.wait(seconds)
        seconds = TO_END
    recorder.wait()

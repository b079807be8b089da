"""What is inside a file that a user names: a text, a compressed text, or a tracer's own recording, told by magic.

Everything is read once and from its beginning, so that a pipe does. A compressed file is opened as it is read; perf and
trace-cmd, which turn their recordings into text, need a file, so that a pipe is copied to one for them.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

from foliolab.framework.errors import TraceFileError, UsageError
from foliolab.framework.isolation.commands import piped
from foliolab.framework.trace.file import is_trace

PERF_FIELDS: Final = "comm,pid,tid,cpu,time,event,trace"
"""The fields of perf script that the reader of its text needs."""
MOST_LAYERS: Final = 4
"""Compressions within each other."""
DAMAGED: Final = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What reading a damaged compressed file raises."""
_MAGIC: Final = 16


def perf_script(data: str, fields: str = PERF_FIELDS) -> list[str]:
    """The command that turns a recording of perf into text."""
    options = ["-F", fields] if fields else []
    return ["perf", "script", "--ns", "-f", *options, "--show-lost-events", "-i", data]


@dataclass(frozen=True)
class _Recording:
    """The file of a tracer that has a command to turn it into text.

    Attributes:
        what: in words.
        commands: in the order in which to try them, of the file's name.
        package: what to install.
    """

    what: str
    commands: tuple[Callable[[str], list[str]], ...]
    package: str


_PERF: Final = _Recording("a recording of perf", (perf_script, lambda data: perf_script(data, "")), "linux-perf")
_TRACE_CMD: Final = _Recording(
    "a recording of trace-cmd", (lambda data: ["trace-cmd", "report", "-t", "-i", data],), "trace-cmd"
)
_RECORDINGS: Final = {b"PERFILE2": _PERF, b"PERFFILE": _PERF, b"\x17\x08Dtracing": _TRACE_CMD}


def _zstd(file: BinaryIO) -> Any:
    for library, opener in (("compression.zstd", "ZstdFile"), ("zstandard", "open")):
        try:
            return getattr(importlib.import_module(library), opener)(file)
        except ImportError:
            continue
    raise TraceFileError(
        "the file is compressed with zstd, and there is no library for that here",
        "zstdcat FILE | foliolab import /dev/stdin -o TRACE (or use Python 3.14, or install zstandard)",
    )


_COMPRESSIONS: Final[dict[bytes, Callable[[BinaryIO], Any]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"BZh": bz2.BZ2File,
    b"\x28\xb5\x2f\xfd": _zstd,
}
_OTHERS: Final = {
    b"\x7fELF": "a program",
    b"\xc1\x1f\xfc\xc1": "a trace of LTTng",
    b"PK\x03\x04": "a zip file",
    b"SQLite format 3": "a data base",
}


class _Again(io.RawIOBase):
    """A stream whose first bytes have been read already."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self.first = first
        self.rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.first[: len(buffer)] if self.first else self.rest.read(len(buffer))
        self.first = self.first[len(data) :]
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def content(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """The bytes of the text in a file.

    Args:
        file: at its beginning; not necessarily seekable.
        name: of the file, for messages, and for the tool that converts it.

    Raises:
        TraceFileError: it is no text, and nothing here can make a text of it.
    """
    with ExitStack() as stack:
        inner, plain = file, True
        for _ in range(MOST_LAYERS):
            first = inner.read(_MAGIC)
            inner = cast(BinaryIO, io.BufferedReader(_Again(first, inner), 1 << 18))
            recording = next((one for magic, one in _RECORDINGS.items() if first.startswith(magic)), None)
            if recording is not None:
                path = name if plain and Path(name).is_file() else stack.enter_context(_copied(inner))
                yield stack.enter_context(_converted(recording, path, name))
                return
            opener = next((one for magic, one in _COMPRESSIONS.items() if first.startswith(magic)), None)
            if opener is None:
                _check_text(first, name)
                yield inner
                return
            inner, plain = opener(inner), False
        raise TraceFileError(f"{name} is compressed more than {MOST_LAYERS - 1} times", "decompress it")


def _check_text(first: bytes, name: str) -> None:
    if is_trace(first):
        raise UsageError(f"{name} is a trace already", f"foliolab replay {name}")
    other = next((what for magic, what in _OTHERS.items() if first.startswith(magic)), "")
    if other or b"\0" in first:
        raise TraceFileError(
            f"{name} is {other or 'no text'}, and no tracer's output that FolioLab knows",
            "`foliolab record --print perf` prints a command whose output imports",
        )


@contextmanager
def _copied(file: BinaryIO) -> Iterator[str]:
    """A file with the bytes of a stream."""
    with tempfile.NamedTemporaryFile(prefix="foliolab-") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        yield copy.name


@contextmanager
def _converted(recording: _Recording, path: str, name: str) -> Iterator[BinaryIO]:
    """The text that a tool makes of its recording.

    Raises:
        TraceFileError: the tool is not installed, or none of its commands makes a text.
    """
    commands = [command(path) for command in recording.commands]
    shown = " ".join(recording.commands[0](name))
    tool = commands[0][0]
    if shutil.which(tool) is None:
        raise TraceFileError(
            f"{name} is {recording.what}, and {tool} is not installed here",
            f"install {recording.package}, or run there: {shown} > text; and import that",
        )
    why = ""
    for command in commands:
        with tempfile.TemporaryFile() as messages, piped(command, messages) as process:
            assert process.stdout is not None
            first = process.stdout.read(1)
            if first:
                yield cast(BinaryIO, io.BufferedReader(_Again(first, cast(BinaryIO, process.stdout)), 1 << 18))
                if process.wait():
                    raise TraceFileError(f"{name}: {tool} failed: {_last_line(messages)}", f"try {shown}")
                return
            process.wait()
            why = why or _last_line(messages)
    raise TraceFileError(f"{name}: {tool} makes no text of it: {why or 'it has no events'}", f"try {shown}")


def _last_line(messages: IO[bytes]) -> str:
    messages.seek(0)
    lines = [line.strip() for line in messages.read(1 << 16).decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""

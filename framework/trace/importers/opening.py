"""What is inside a file that a user names: a text, a compressed text, or a tracer's own recording, told by magic.

Everything is read once and from its beginning, so that a pipe does. A compressed file is opened as it is read; tools
that turn a file into text, such as perf, trace-cmd and zstd, need a file, so that a pipe is copied to one for them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, TypeVar, cast

from foliolab.framework.errors import TraceFileError, UsageError
from foliolab.framework.isolation.commands import piped
from foliolab.framework.trace.file import is_trace

Found = TypeVar("Found")
PERF_FIELDS: Final = "comm,pid,tid,cpu,time,event,trace"
"""The fields of perf script that the reader of its text needs."""
CUT_OFF: Final = "The compressed file was cut off; what there is of it was read."
MOST_LAYERS: Final = 4
"""Compressions within each other."""
DAMAGED: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What reading a damaged compressed file raises."""
_MAGIC: Final = 512


def perf_script(data: str, fields: str = PERF_FIELDS) -> list[str]:
    """The command that turns a recording of perf into text."""
    options = ["-F", fields] if fields else []
    return ["perf", "script", "--ns", "-f", *options, "--show-lost-events", "-i", data]


@dataclass(frozen=True)
class _Recording:
    """The file of a tool that has a command to turn it into text.

    Attributes:
        what: in words.
        commands: in the order in which to try them, of the file's name.
        package: what to install.
    """

    what: str
    commands: tuple[Callable[[str], list[str]], ...]
    package: str


_ZSTD: Final = _Recording("compressed with zstd", (lambda data: ["zstd", "-dcq", "--", data],), "zstd")
_LZ4: Final = _Recording("compressed with lz4", (lambda data: ["lz4", "-dcq", "--", data],), "lz4")
_PERF: Final = _Recording("a recording of perf", (perf_script, lambda data: perf_script(data, "")), "linux-perf")
_TRACE_CMD: Final = _Recording(
    "a recording of trace-cmd", (lambda data: ["trace-cmd", "report", "-t", "-i", data],), "trace-cmd"
)
_RECORDINGS: Final = {b"PERFILE2": _PERF, b"PERFFILE": _PERF, b"\x17\x08Dtracing": _TRACE_CMD}
_PACKED: Final = {b"\x28\xb5\x2f\xfd": _ZSTD, b"\x04\x22\x4d\x18": _LZ4}
"""What is unpacked by a tool, unless Python has a library for it."""
_COMPRESSIONS: Final[dict[bytes, Callable[[BinaryIO], Any]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x5d\0\0": lzma.LZMAFile,
    b"BZh": bz2.BZ2File,
}
if sys.version_info >= (3, 14):
    from compression import zstd

    _COMPRESSIONS[b"\x28\xb5\x2f\xfd"] = zstd.ZstdFile
    DAMAGED = (*DAMAGED, zstd.ZstdError)
UNREADABLE: tuple[type[Exception], ...] = (OSError, *DAMAGED)
"""What reading a file raises."""
_ENCODINGS: Final = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_UNPACK: Final = "unpack it, and import the text that is in it"
_RECORD: Final = "`foliolab record --print perf` prints a command whose output imports"
_OTHERS: Final = {
    b"\x7fELF": ("a program", _RECORD),
    b"\xc1\x1f\xfc\xc1": ("a trace of LTTng", _RECORD),
    b"SQLite format 3": ("a data base", _RECORD),
    b"PK\x03\x04": ("a zip file", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": ("a file of 7-Zip", _UNPACK),
    b"\x1f\x9d": ("a file of compress", _UNPACK),
}
_TAR: Final = 257
"""Where an archive of tar has its magic."""


def is_packed(head: bytes) -> bool:
    """Whether a file, of which this is the beginning, is a tracer's recording, or is compressed."""
    return any(head.startswith(magic) for magic in (*_RECORDINGS, *_PACKED, *_COMPRESSIONS))


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


class _UntilCut(io.RawIOBase):
    """A decompressed stream that ends where the compressed file was cut off, with a note."""

    def __init__(self, inner: Any, notes: list[str]) -> None:
        self.inner = inner
        self.notes = notes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.inner.read1(len(buffer))
        except EOFError:
            if CUT_OFF not in self.notes:
                self.notes.append(CUT_OFF)
            return 0
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def content(file: BinaryIO, name: str, notes: list[str]) -> Iterator[tuple[BinaryIO, str]]:
    """The bytes of the text in a file, and how they are encoded.

    Args:
        file: at its beginning; not necessarily seekable.
        name: of the file, for messages, and for the tool that converts it.
        notes: gets a sentence if the file was cut off.

    Raises:
        TraceFileError: it is no text, and nothing here can make a text of it.
    """
    with ExitStack() as stack:
        inner, plain = file, True
        for _ in range(MOST_LAYERS):
            first = inner.read(_MAGIC)
            inner = _buffered(_Again(first, inner))
            recording, opener = _of_magic(_RECORDINGS, first), _of_magic(_COMPRESSIONS, first)
            tool = recording or (None if opener else _of_magic(_PACKED, first))
            if tool is not None:
                path = name if plain and Path(name).is_file() else stack.enter_context(_copied(inner))
                inner = stack.enter_context(_converted(tool, path, name))
            elif opener is not None:
                inner = _buffered(_UntilCut(opener(inner), notes))
            else:
                _check_text(first, name)
            if recording is not None or (tool is None and opener is None):
                yield inner, _of_magic(_ENCODINGS, first) or "utf-8"
                return
            plain = False
        raise TraceFileError(f"{name} is compressed more than {MOST_LAYERS - 1} times", "decompress it")


def _buffered(raw: io.RawIOBase) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(raw, 1 << 18))


def _of_magic(known: Mapping[bytes, Found], first: bytes) -> Found | None:
    """What a file is that begins with these bytes."""
    return next((one for magic, one in known.items() if first.startswith(magic)), None)


def _check_text(first: bytes, name: str) -> None:
    if is_trace(first):
        raise UsageError(f"{name} is a trace already", f"foliolab replay {name}")
    other = _of_magic(_OTHERS, first)
    if first[_TAR:].startswith(b"ustar"):
        other = ("an archive of tar", _UNPACK)
    if other is None and b"\0" in first and not _of_magic(_ENCODINGS, first):
        other = ("no text", _RECORD)
    if other is not None:
        what, instead = other
        raise TraceFileError(f"{name} is {what}, and no tracer's output that FolioLab knows", instead)


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
                yield _buffered(_Again(first, cast(BinaryIO, process.stdout)))
                if process.wait():
                    raise TraceFileError(
                        f"{name}: {tool} failed: {_last_line(messages)}",
                        f"copy it again, or import the text that it makes all the same: {shown} > text",
                    )
                return
            process.wait()
            why = why or _last_line(messages)
    raise TraceFileError(f"{name}: {tool} makes no text of it: {why or 'it has no events'}", f"try {shown}")


def _last_line(messages: IO[bytes]) -> str:
    messages.seek(0)
    lines = [line.strip() for line in messages.read(1 << 16).decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""

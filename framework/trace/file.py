"""The trace file: columns of events in blocks, written as a stream and read as mapped memory.

Layout, little-endian throughout:

    preamble   magic "FOLIOTRC", u32 version, u32 bytes of the header; the header as JSON, padded with spaces
    blocks     magic "FOLIOBLK", u32 events (1 to 65,536), u32 CRC-32 of what follows in the block; u64 first and
               last time; then the columns of `events.COLUMNS` in their order, each padded to 8 bytes
    footer     JSON {"header": …, "index": [[offset, events, first time, last time], …]}, padded
    trailer    u64 offset of the footer, u32 its bytes, u32 its CRC-32, magic "FOLIOEND"

Everything begins at a multiple of 8. A file without footer (its writer was killed) has the header that was known
at the start, and its blocks up to the last whole one.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import TraceFileError
from foliolab.framework.trace.events import COLUMNS, Events, join
from foliolab.framework.trace.header import Header

VERSION: Final = 1
BLOCK_EVENTS: Final = 65536

_MAGIC: Final = b"FOLIOTRC"
_BLOCK_MAGIC: Final = b"FOLIOBLK"
_END_MAGIC: Final = b"FOLIOEND"
_PREAMBLE: Final = struct.Struct("<8sII")
_BLOCK: Final = struct.Struct("<8sIIQQ")
_TIMES: Final = struct.Struct("<QQ")
_TRAILER: Final = struct.Struct("<QII8s")
_ALIGN: Final = 8


class Block(NamedTuple):
    """Where a block lies and what it spans."""

    offset: int
    events: int
    first: int
    last: int


class _Footer(msgspec.Struct):
    header: Header
    index: list[Block]


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _block_bytes(events: int) -> int:
    return _BLOCK.size + sum(_aligned(events * kind.itemsize) for kind in COLUMNS.values())


def _padded(data: bytes) -> bytes:
    return data.ljust(_aligned(len(data)))


class Writer:
    """Writes a trace; a context manager, which closes the file when it is left, also by an exception.

    Args:
        path: the file; one that is there is replaced.
        header: what is known at the start; assign `header` again before `close` for what is known at the end.

    Raises:
        TraceFileError: the place cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str], header: Header) -> None:
        self.path = os.fspath(path)
        self.header = header
        self._index: list[Block] = []
        self._waiting: list[Events] = []
        self._waits = 0
        self._last_time = 0
        try:
            self._file: BinaryIO = Path(path).open("wb")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise self._refused(error) from error
        text = _padded(msgspec.json.encode(header))
        self._write(_PREAMBLE.pack(_MAGIC, VERSION, len(text)) + text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def events(self) -> int:
        """Events so far, those not yet in the file included."""
        return sum(block.events for block in self._index) + self._waits

    def append(self, events: Events) -> None:
        """Add events; their times may not go back, neither among them nor behind what is there.

        Raises:
            TraceFileError: a time goes back, columns of different length, the disk is full, the file is closed.
        """
        if self._file.closed:
            raise TraceFileError(f"{self.path} is closed", "append before `close`")
        if any(column.shape != (events.size,) for column in events):
            raise TraceFileError(f"{self.path}: the columns of the events differ in length", "give each event all")
        if not events.size:
            return
        times = events.time
        if times[0] < self._last_time or (times[1:] < times[:-1]).any():
            raise TraceFileError(f"{self.path}: the time of an event goes back", "sort the events before writing")
        self._last_time = int(times[-1])
        copies: list[NDArray[Any]] = [
            np.asarray(column).astype(kind) for column, kind in zip(events, COLUMNS.values(), strict=True)
        ]
        self._waiting.append(Events(*copies))
        self._waits += events.size
        if self._waits >= BLOCK_EVENTS:
            self._flush_blocks(BLOCK_EVENTS)

    def flush(self) -> None:
        """Bring what was appended into the file, as a short block: what a kill after this does not take away."""
        self._flush_blocks(1)
        self._file.flush()

    def close(self) -> None:
        """Write what waits, and the footer with the index and the newest header."""
        if self._file.closed:
            return
        try:
            self._flush_blocks(1)
            footer = _padded(msgspec.json.encode(_Footer(self.header, self._index)))
            at = self._file.tell()
            self._write(footer + _TRAILER.pack(at, len(footer), zlib.crc32(footer), _END_MAGIC))
        finally:
            try:
                self._file.close()
            except OSError as error:
                raise self._refused(error) from error

    def _flush_blocks(self, at_least: int) -> None:
        """Write blocks as long as `at_least` events wait."""
        if self._waits < at_least:
            return
        events, start = join(self._waiting), 0
        while events.size - start >= at_least:
            part = events.part(slice(start, start + BLOCK_EVENTS))
            self._write_block(part)
            start += part.size
        self._waiting = [events.part(slice(start, None))] if start < events.size else []
        self._waits = events.size - start

    def _write_block(self, events: Events) -> None:
        first, last = int(events.time[0]), int(events.time[-1])
        body = b"".join([_TIMES.pack(first, last), *(c.tobytes().ljust(_aligned(c.nbytes), b"\0") for c in events)])
        block = Block(self._file.tell(), events.size, first, last)
        self._write(_BLOCK.pack(_BLOCK_MAGIC, events.size, zlib.crc32(body), first, last) + body[_TIMES.size :])
        self._index.append(block)

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> TraceFileError:
        return TraceFileError(
            f"{self.path} cannot be written: {error.strerror or error}",
            "choose a file in a folder that exists, that you may write to, and that has room",
        )


class Trace:
    """Reads a trace; the file is mapped, and what has been iterated over leaves memory again.

    Attributes:
        path: the file.
        header: the newest that the file has.
        damaged: what is wrong with the file, empty if nothing is known to be; checksums are looked at while
            `blocks` goes over them, so it is final only after that.

    Raises:
        TraceFileError: there is no such file, it is no trace, or a newer one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.damaged = ""
        self._data = self._map()
        self._index: list[Block]
        start = self._read_preamble()
        if footer := self._footer(start):
            self.header, self._index = footer.header, footer.index
        else:
            self._scan(start)

    def __len__(self) -> int:
        """Events in the blocks that the index names; fewer if a block turns out to be damaged."""
        return sum(block.events for block in self._index)

    @property
    def index(self) -> tuple[Block, ...]:
        """The blocks."""
        return tuple(self._index)

    @property
    def span(self) -> tuple[int, int]:
        """First and last time, (0, 0) without events."""
        return (self._index[0].first, self._index[-1].last) if self._index else (0, 0)

    def blocks(self, first: int = 0) -> Iterator[Events]:
        """The events, a block at a time, as views of the mapped file.

        Args:
            first: the block to begin with.

        The views stay valid, but a block's memory is given back when the next one is asked for. Iteration ends
        at a block whose checksum or order of times is wrong; `damaged` then says so.
        """
        last_time = self._index[first - 1].last if first else 0
        for number in range(first, len(self._index)):
            block = self._index[number]
            events = self._events(block)
            if not (wrong := self._fault_of(block, events, last_time)):
                last_time = block.last
                yield events
            del events
            self._give_back(block)
            if wrong:
                left = sum(later.events for later in self._index[number:])
                self.damaged = (
                    f"block {number} at byte {block.offset} {wrong}; {left:,} events from there on are left out"
                )
                del self._index[number:]
                return

    def _map(self) -> mmap.mmap | bytes:
        try:
            with Path(self.path).open("rb") as file:
                if not os.fstat(file.fileno()).st_size:
                    return b""
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise TraceFileError(f"there is no trace {self.path}", "`foliolab record` makes one") from error
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise TraceFileError(f"the trace {self.path} cannot be read: {why}", "check the path") from error

    def _read_preamble(self) -> int:
        none = TraceFileError(
            f"{self.path} is no trace" if self._data else f"{self.path} is empty",
            "`foliolab record` and `foliolab import` write traces",
        )
        if len(self._data) < _PREAMBLE.size:
            raise none
        magic, version, size = _PREAMBLE.unpack_from(self._data)
        if magic != _MAGIC:
            raise none
        if version > VERSION:
            raise TraceFileError(
                f"{self.path} is a trace of version {version}, this FolioLab reads up to {VERSION}", "update FolioLab"
            )
        start = _PREAMBLE.size + int(size)
        try:
            self.header = msgspec.json.decode(self._data[_PREAMBLE.size : start], type=Header)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TraceFileError(f"the header of {self.path} is damaged: {error}", "record again") from error
        return start

    def _footer(self, start: int) -> _Footer | None:
        """The footer, if there is a sound one whose blocks fill the file."""
        end = len(self._data) - _TRAILER.size
        if end < start:
            return None
        at, size, crc, magic = _TRAILER.unpack_from(self._data, end)
        text = self._data[at:end]
        if magic != _END_MAGIC or not start <= at or at + size != end or zlib.crc32(text) != crc:
            return None
        try:
            footer = msgspec.json.decode(text, type=_Footer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        offset = start
        for block in footer.index:
            if block.offset != offset or not 0 < block.events <= BLOCK_EVENTS:
                return None
            offset += _block_bytes(block.events)
        return footer if offset == at else None

    def _scan(self, start: int) -> None:
        """Find the blocks one behind the other, as far as there are whole ones."""
        self._index, at = [], start
        while at + _BLOCK.size <= len(self._data):
            magic, events, _crc, first, last = _BLOCK.unpack_from(self._data, at)
            if magic != _BLOCK_MAGIC or not 0 < events <= BLOCK_EVENTS:
                break
            if at + _block_bytes(events) > len(self._data):
                break
            self._index.append(Block(at, events, first, last))
            at += _block_bytes(events)
        left = len(self._data) - at
        self.damaged = (
            f"the file ends without its index, {left:,} bytes behind the last whole block; it is read up to there"
            if left
            else "the file ends without its index; it is read up to its last block"
        )

    def _events(self, block: Block) -> Events:
        at, found = block.offset + _BLOCK.size, []
        for kind in COLUMNS.values():
            found.append(np.frombuffer(self._data, kind, block.events, at))
            at += _aligned(block.events * kind.itemsize)
        return Events(*found)

    def _fault_of(self, block: Block, events: Events, last_time: int) -> str:
        magic, count, crc, first, last = _BLOCK.unpack_from(self._data, block.offset)
        if magic != _BLOCK_MAGIC or (count, first, last) != block[1:]:
            return "is not what the index says"
        begin = block.offset + _BLOCK.size - _TIMES.size
        with memoryview(self._data) as view, view[begin : block.offset + _block_bytes(count)] as body:
            if zlib.crc32(body) != crc:
                return "fails its checksum"
        times = events.time
        if times[0] < last_time or int(times[-1]) != last or (times[1:] < times[:-1]).any():
            return "has times that go back"
        return ""

    def _give_back(self, block: Block) -> None:
        """Let the kernel take back the mapped pages that lie wholly inside of the block."""
        if isinstance(self._data, bytes) or not hasattr(mmap, "MADV_DONTNEED"):
            return
        begin = -(-block.offset // mmap.PAGESIZE) * mmap.PAGESIZE
        length = block.offset + _block_bytes(block.events) - begin
        with suppress(OSError):
            if length > 0:
                # up to the end of its last page: what the next block shares with it is read again
                self._data.madvise(mmap.MADV_DONTNEED, begin, length)

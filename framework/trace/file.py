"""The trace file: events as columns in blocks, written as a stream and read through a memory mapping.

Layout, little-endian throughout:

    preamble   magic "FOLIOTRC", u32 version, u32 size of the header; the header as JSON, padded with spaces
    blocks     magic "FOLIOBLK", u32 events (1 to 65,536), u32 CRC-32 of the rest of the block; u64 first and
               last time; then the columns of `events.COLUMNS` in their order, each padded to 8 bytes
    spaces     the address spaces as lines of JSON, padded; only if they are too many for the header
    footer     JSON {"header": …, "index": [[offset, events, first time, last time], …]}, padded; with spaces also
               "spaces": [their number, size of the section, its CRC-32]
    trailer    u64 offset of the footer, u32 its size, u32 its CRC-32, magic "FOLIOEND"

Every part begins at a multiple of 8; sizes are in bytes. A file whose writer was killed has no footer: the reader uses
the header of the preamble, and the blocks up to the last complete one.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import NoEvents, TraceFileError
from foliolab.framework.trace.addressspaces import line_of, of_line
from foliolab.framework.trace.events import COLUMNS, Events, join
from foliolab.framework.trace.header import AddressSpace, Header
from foliolab.framework.trace.output import Output, content

VERSION: Final = 1
BLOCK_EVENTS: Final = 65536
RELEASED_BYTES: Final = 1 << 24
"""Of address spaces that were read, after which their memory is released."""

_MAGIC: Final = b"FOLIOTRC"
_BLOCK_MAGIC: Final = b"FOLIOBLK"
_END_MAGIC: Final = b"FOLIOEND"
_PREAMBLE: Final = struct.Struct("<8sII")
_BLOCK: Final = struct.Struct("<8sIIQQ")
_TIMES: Final = struct.Struct("<QQ")
_TRAILER: Final = struct.Struct("<QII8s")
_ALIGN: Final = 8


class Block(NamedTuple):
    """The entry of a block in the index: its offset in the file, its number of events, its first and last time."""

    offset: int
    events: int
    first: int
    last: int


class Section(NamedTuple):
    """The section of address spaces: how many it has, its size in bytes, and its CRC-32."""

    spaces: int
    size: int
    crc: int


class _Footer(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    header: Header
    index: list[Block]
    spaces: Section | None = None


def is_trace(data: bytes) -> bool:
    """Whether a file that begins with these bytes is a trace."""
    return data.startswith(_MAGIC)


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _block_bytes(events: int) -> int:
    return _BLOCK.size + sum(_aligned(events * kind.itemsize) for kind in COLUMNS.values())


def _padded(data: bytes) -> bytes:
    return data.ljust(_aligned(len(data)))


class Writer:
    """Writes a trace. A context manager that closes the file.

    After an exception an existing file stays as it was, and a new one is removed; a new one is closed with what was
    appended if the exception is an interruption, or if `keep`.

    Args:
        path: the file; an existing one is replaced when the new one is complete.
        header: the header as it is known at the start. Assign the attribute `header` before `close` to complete it.
        keep: whether a new file stays after any exception but NoEvents.

    Attributes:
        spaces: the address spaces, if they are too many for the header; read by `close`.

    Raises:
        TraceFileError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], header: Header, keep: bool = False) -> None:
        self.path = os.fspath(path)
        self.header = header
        self.keep = keep
        self.spaces: Iterable[AddressSpace] = ()
        self._index: list[Block] = []
        self._buffer: list[Events] = []
        self._buffered = 0
        self._last_time = 0
        self._at = 0
        try:
            self._output = Output(self.path)
        except OSError as error:
            raise self._write_error(error) from error
        self._file = self._output.file
        text = _padded(msgspec.json.encode(header))
        self._write(_PREAMBLE.pack(_MAGIC, VERSION, len(text)) + text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stays = kind is not None and (self.keep or not issubclass(kind, Exception)) and not issubclass(kind, NoEvents)
        if kind is None or (stays and not self._output.replaces):
            self.close()
        else:
            self._output.discard()

    @property
    def events(self) -> int:
        """Events so far, including those that are not written yet."""
        return sum(block.events for block in self._index) + self._buffered

    def append(self, events: Events) -> None:
        """Add events in the order of time.

        Raises:
            TraceFileError: a time is earlier than the one before, columns differ in length, the file is closed or
                cannot be written.
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
        self._buffer.append(Events(*copies))
        self._buffered += events.size
        if self._buffered >= BLOCK_EVENTS:
            self._flush_blocks(BLOCK_EVENTS)

    def flush(self) -> None:
        """Write all appended events to the file, the last ones as a short block; they survive a kill."""
        self._flush_blocks(1)
        self._file.flush()

    def close(self) -> None:
        """Write the remaining events, and the footer with the index and the current header."""
        if self._file.closed:
            return
        try:
            self._flush_blocks(1)
            section = self._write_spaces()
            footer = _padded(msgspec.json.encode(_Footer(self.header, self._index, section)))
            self._write(footer + _TRAILER.pack(self._at, len(footer), zlib.crc32(footer), _END_MAGIC))
            self._output.finish()
        except OSError as error:
            raise self._write_error(error) from error
        finally:
            self._output.discard(self.keep)

    def _write_spaces(self) -> Section | None:
        count = crc = size = 0
        for space in self.spaces:
            line = line_of(space)
            count, size, crc = count + 1, size + len(line), zlib.crc32(line, crc)
            self._write(line)
        if not count:
            return None
        self._write(b" " * (_aligned(size) - size))
        return Section(count, size, crc)

    def _flush_blocks(self, at_least: int) -> None:
        """Write blocks while `at_least` events are buffered."""
        if self._buffered < at_least:
            return
        events, start = join(self._buffer), 0
        while events.size - start >= at_least:
            part = events.part(slice(start, start + BLOCK_EVENTS))
            self._write_block(part)
            start += part.size
        self._buffer = [events.part(slice(start, None))] if start < events.size else []
        self._buffered = events.size - start

    def _write_block(self, events: Events) -> None:
        first, last = int(events.time[0]), int(events.time[-1])
        body = b"".join([_TIMES.pack(first, last), *(c.tobytes().ljust(_aligned(c.nbytes), b"\0") for c in events)])
        block = Block(self._at, events.size, first, last)
        self._write(_BLOCK.pack(_BLOCK_MAGIC, events.size, zlib.crc32(body), first, last) + body[_TIMES.size :])
        self._index.append(block)

    def _write(self, data: bytes) -> None:
        try:
            self._at += self._file.write(data)
        except OSError as error:
            raise self._write_error(error) from error

    def _write_error(self, error: OSError) -> TraceFileError:
        return TraceFileError(
            f"{self.path} cannot be written: {error.strerror or error}",
            "choose a file in a folder that exists, that you may write to, and that has room",
        )


class Trace:
    """Reads a trace. The file is mapped, and `blocks` releases the memory of blocks that were iterated over.

    Attributes:
        path: the file.
        header: of the footer; of the preamble if there is no footer.
        damaged: what is wrong with the file; empty if no damage is known. `blocks` checks the checksums, so the value
            is final only after it has iterated over all blocks.

    Raises:
        TraceFileError: there is no such file, it is not a trace, or of a newer version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.damaged = ""
        self._data = self._map()
        self._index: list[Block]
        start = self._read_preamble()
        self._section: Section | None = None
        if footer := self._footer(start):
            self.header, self._index, self._section = footer.header, footer.index, footer.spaces
        else:
            self._scan(start)

    def __len__(self) -> int:
        """The number of events in the index; it falls when `blocks` finds a damaged block."""
        return sum(block.events for block in self._index)

    @property
    def index(self) -> tuple[Block, ...]:
        return tuple(self._index)

    @property
    def nr_spaces(self) -> int:
        """The number of address spaces."""
        return self._section.spaces if self._section else len(self.header.mms)

    def spaces(self) -> Iterator[AddressSpace]:
        """The address spaces, one by one. Iteration ends where their section is damaged; `damaged` then says so."""
        if self._section is None:
            yield from self.header.mms
            return
        last = self._index[-1]
        at, crc = last.offset + _block_bytes(last.events), 0
        end, released = at + self._section.size, at
        try:
            while at < end:
                if at - released >= RELEASED_BYTES:
                    self._release(released, at)
                    released = at
                behind = self._data.find(b"\n", at, end) + 1 or end
                line = self._data[at:behind]
                crc = zlib.crc32(line, crc)
                yield of_line(line)
                at = behind
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            crc = -1
        if crc != self._section.crc:
            self.damaged = "the section of its address spaces fails its checksum"

    @property
    def span(self) -> tuple[int, int]:
        """First and last time; (0, 0) without events."""
        return (self._index[0].first, self._index[-1].last) if self._index else (0, 0)

    def blocks(self, first: int = 0) -> Iterator[Events]:
        """The events in blocks, as views of the mapped file.

        The views stay valid, but the memory of a block is released when the next one is requested, and read again on
        access. Iteration ends at a block whose checksum or order of times is wrong; `damaged` then names it.

        Args:
            first: index of the block to begin with.
        """
        last_time = self._index[first - 1].last if first else 0
        for number in range(first, len(self._index)):
            block = self._index[number]
            events = self._events(block)
            if not (damage := self._damage(block, events, last_time)):
                last_time = block.last
                yield events
            del events
            self._release(block.offset, block.offset + _block_bytes(block.events))
            if damage:
                left = sum(later.events for later in self._index[number:])
                self.damaged = (
                    f"block {number} at byte {block.offset} {damage}; {left:,} events from there on are left out"
                )
                del self._index[number:]
                return

    def _map(self) -> mmap.mmap | bytes:
        try:
            return content(self.path, _MAGIC)
        except FileNotFoundError as error:
            raise TraceFileError(f"there is no trace {self.path}", "`foliolab record` makes one") from error
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise TraceFileError(f"the trace {self.path} cannot be read: {why}", "check the path") from error

    def _read_preamble(self) -> int:
        not_a_trace = TraceFileError(
            f"{self.path} is no trace" if self._data else f"{self.path} is empty",
            "`foliolab record` and `foliolab import` write traces",
        )
        if len(self._data) < _PREAMBLE.size:
            raise not_a_trace
        magic, version, size = _PREAMBLE.unpack_from(self._data)
        if magic != _MAGIC:
            raise not_a_trace
        if not version:
            raise TraceFileError(f"{self.path} is damaged: its version is 0", "restore it from a copy, or record again")
        if version > VERSION:
            raise TraceFileError(
                f"{self.path} is a trace of version {version}, this FolioLab reads up to {VERSION}", "update FolioLab"
            )
        start = _PREAMBLE.size + int(size)
        if start > len(self._data):
            raise TraceFileError(f"{self.path} ends within its header", "restore it from a copy, or record again")
        try:
            self.header = msgspec.json.decode(self._data[_PREAMBLE.size : start], type=Header)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise TraceFileError(f"the header of {self.path} is damaged: {error}", "record again") from error
        return start

    def _footer(self, start: int) -> _Footer | None:
        """The footer; None if there is none, or its index does not cover the file."""
        end = len(self._data) - _TRAILER.size
        if end < start:
            return None
        at, size, crc, magic = _TRAILER.unpack_from(self._data, end)
        text = self._data[at:end]
        if magic != _END_MAGIC or not start <= at or at + size != end or zlib.crc32(text) != crc:
            return None
        try:
            footer = msgspec.json.decode(text, type=_Footer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        offset = start
        for block in footer.index:
            if block.offset != offset or not 0 < block.events <= BLOCK_EVENTS:
                return None
            offset += _block_bytes(block.events)
        if footer.spaces is not None:
            if not footer.index or footer.spaces.spaces < 1 or footer.spaces.size < 1:
                return None
            offset += _aligned(footer.spaces.size)
        return footer if offset == at else None

    def _scan(self, start: int) -> None:
        """Make the index of a file without a footer from the headers of its blocks."""
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

    def _damage(self, block: Block, events: Events, last_time: int) -> str:
        """What is wrong with a block; empty if nothing is."""
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

    def _release(self, start: int, end: int) -> None:
        """Release the mapped pages of a part of the file, without a page that it shares with the part before."""
        if isinstance(self._data, bytes) or not hasattr(mmap, "MADV_DONTNEED"):
            return
        begin = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = end - begin
        with suppress(OSError):
            if length > 0:
                # The kernel rounds the length up, so the last page goes, too; the next block faults it in again.
                self._data.madvise(mmap.MADV_DONTNEED, begin, length)

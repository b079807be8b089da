"""A machine's state at earlier positions: one whole copy of the newest, and what differs on the way back."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.explore.blocks import BLOCK, WORDS, differing, exchange, put_back

MOST: Final = 160
"""Checkpoints at a time, at most."""


@dataclass
class _Area:
    """One buffer.

    Args:
        live: the machine's own, as words.
        image: as it was at the newest checkpoint.
        skip: blocks [first, end) that are not part of the state.
        found: room for the numbers of blocks.
    """

    live: NDArray[np.int64]
    image: NDArray[np.int64]
    skip: tuple[int, int]
    found: NDArray[np.int64]


@dataclass
class _Delta:
    """What turns a checkpoint of an area into the one before it: numbers of blocks, and where the pool has them."""

    blocks: NDArray[np.int64]
    rooms: NDArray[np.int64]


def _untouched(words: int) -> NDArray[np.int64]:
    """Memory that takes none until it is written to; in small pages, as making huge ones can take very long."""
    area = mmap.mmap(-1, max(8 * words, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel without THP
            area.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(area, np.int64, words)


class _Pool:
    """Room for blocks; what was never used takes no memory."""

    def __init__(self, blocks: int) -> None:
        self.words = _untouched(blocks * WORDS)
        self._free = np.arange(blocks, dtype=np.int64)[::-1].copy()  # the lowest last: taken first
        self._nr = blocks

    @property
    def free(self) -> int:
        return self._nr

    @property
    def used(self) -> int:
        return len(self._free) - self._nr

    def take(self, nr: int) -> NDArray[np.int64]:
        self._nr -= nr
        return self._free[self._nr : self._nr + nr].copy()

    def give(self, rooms: NDArray[np.int64]) -> None:
        self._free[self._nr : self._nr + len(rooms)] = rooms
        self._nr += len(rooms)


@dataclass
class _Checkpoint:
    position: int
    extra: Any
    back: list[_Delta]
    """To the checkpoint before, an area each; empty for the first."""


class Checkpoints:
    """Earlier states of buffers that are changed in place.

    The newest are dense, older ones ever sparser; the first stays.

    Args:
        buffers: uint8, whole blocks of 4 KiB; with the bytes [start, end) of each that are not part of the state.
        compiled: gives the function that runs a loop of `blocks` (native, or as it is).
        most_bytes: what differences may take, though never less than all blocks twice; the copy comes on top.

    Attributes:
        seconds: what the latest checkpoint took.
    """

    def __init__(
        self,
        buffers: Sequence[tuple[NDArray[np.uint8], tuple[int, int]]],
        compiled: Callable[[Callable[..., int], str], Callable[..., Any]],
        most_bytes: int,
    ) -> None:
        self.seconds = 0.0
        self._areas = [
            _Area(
                live=buffer.view(np.int64),
                image=buffer.view(np.int64).copy(),
                skip=(-(-skip[0] // BLOCK), skip[1] // BLOCK),
                found=np.empty(buffer.size // BLOCK, np.int64),
            )
            for buffer, skip in buffers
            if buffer.size
        ]
        self._differing = compiled(differing, "vviiv")
        self._exchange = compiled(exchange, "vvvvv")
        self._put_back = compiled(put_back, "vvvv")
        # so that all that was kept and the next difference always fit, one behind the other
        least = 2 * sum(len(area.found) for area in self._areas)
        self._pool = _Pool(max(most_bytes // BLOCK, least))
        self._points: list[_Checkpoint] = []

    @property
    def positions(self) -> list[int]:
        """Where they are."""
        return [point.position for point in self._points]

    @property
    def nbytes(self) -> int:
        """What the differences take."""
        return self._pool.used * BLOCK

    @property
    def newest(self) -> int:
        """The newest one's position; -1 if there is none."""
        return self._points[-1].position if self._points else -1

    def nearest(self, position: int) -> int:
        """The last checkpoint that is not behind a position."""
        return max(point.position for point in self._points if point.position <= position)

    def add(self, position: int, extra: Any = None) -> None:
        """Keep the state as it is now; `position` lies behind all others, `extra` goes with it."""
        began = time.perf_counter()
        if not self._points:
            for area in self._areas:
                np.copyto(area.image, area.live)
            self._points.append(_Checkpoint(position, extra, []))
        else:
            self._thin(sum(len(area.found) for area in self._areas))
            self._points.append(_Checkpoint(position, extra, [self._difference(area) for area in self._areas]))
        self.seconds = time.perf_counter() - began

    def restore(self, position: int) -> tuple[int, Any]:
        """Go back to the last checkpoint that is not behind a position; those behind it are gone.

        Returns:
            its position, and what went with it.
        """
        while self._points[-1].position > position:
            for area, delta in zip(self._areas, self._points.pop().back, strict=True):
                self._put_back(area.image, delta.blocks, delta.rooms, self._pool.words)
                self._pool.give(delta.rooms)
        for area in self._areas:
            first, end = area.skip
            if end > first:
                np.copyto(area.live[: first * WORDS], area.image[: first * WORDS])
                np.copyto(area.live[end * WORDS :], area.image[end * WORDS :])
            else:
                np.copyto(area.live, area.image)
        newest = self._points[-1]
        return newest.position, newest.extra

    def _difference(self, area: _Area) -> _Delta:
        nr = int(self._differing(area.live, area.image, *area.skip, area.found))
        delta = _Delta(area.found[:nr].copy(), self._pool.take(nr))
        self._exchange(area.live, area.image, delta.blocks, delta.rooms, self._pool.words)
        return delta

    def _thin(self, room: int) -> None:
        """Take out the checkpoints that are closest together for how far they lie back, until `room` blocks fit."""
        points = self._points
        while len(points) > 2 and (len(points) >= MOST or self._pool.free < room):
            newest = points[-1].position
            at = min(
                range(1, len(points) - 1),
                key=lambda i: (points[i + 1].position - points[i - 1].position) / (newest - points[i].position),
            )
            pairs = zip(points[at + 1].back, points[at].back, strict=True)
            points[at + 1].back = [self._joined(later, earlier) for later, earlier in pairs]
            del points[at]

    def _joined(self, later: _Delta, earlier: _Delta) -> _Delta:
        """`later` and then `earlier` as one; where both have a block, the earlier one's counts."""
        mine = ~np.isin(later.blocks, earlier.blocks)
        self._pool.give(later.rooms[~mine])
        return _Delta(
            np.concatenate([earlier.blocks, later.blocks[mine]]), np.concatenate([earlier.rooms, later.rooms[mine]])
        )

"""Checkpoints: a machine's state at earlier positions.

The newest checkpoint is a whole copy (the image). Every earlier one is a delta: the blocks in which it differs from the
next newer checkpoint. To restore a position, deltas are applied to the image from the newest backwards.
"""

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
"""Most checkpoints at a time."""


@dataclass
class _Area:
    """One buffer of the state.

    Args:
        live: the machine's buffer, as words.
        image: its copy at the newest checkpoint.
        skip: blocks [first, end) that do not belong to the state.
        found: receives numbers of differing blocks.
    """

    live: NDArray[np.int64]
    image: NDArray[np.int64]
    skip: tuple[int, int]
    found: NDArray[np.int64]


@dataclass
class _Delta:
    """Turns an area's checkpoint into the one before it: numbers of the blocks, and where the pool keeps them."""

    blocks: NDArray[np.int64]
    rooms: NDArray[np.int64]


def _untouched(words: int) -> NDArray[np.int64]:
    """Memory that is allocated only when it is written to; in small pages, as making huge pages can take very long."""
    area = mmap.mmap(-1, max(8 * words, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel without THP
            area.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(area, np.int64, words)


class _Pool:
    """Memory for blocks; blocks that were never used take none."""

    def __init__(self, blocks: int) -> None:
        self.words = _untouched(blocks * WORDS)
        self._free = np.arange(blocks, dtype=np.int64)[::-1].copy()  # taken from the end: the lowest numbers first
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
    back: list[_Delta]  # to the checkpoint before, one per area; empty for the first


class Checkpoints:
    """Earlier states of buffers that are changed in place.

    Recent checkpoints are dense, older ones increasingly sparse; the first one always stays.

    Args:
        buffers: uint8, whole blocks of 4 KiB; each with the range [start, end) of bytes that do not belong to the
            state.
        compiled: compiles a function of `blocks`, or returns it as it is.
        most_bytes: memory for the deltas, but at least twice the size of the buffers; the image comes on top.

    Attributes:
        seconds: duration of making the latest checkpoint.
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
        # enough for one delta of all blocks, and the next one
        least = 2 * sum(len(area.found) for area in self._areas)
        self._pool = _Pool(max(most_bytes // BLOCK, least))
        self._points: list[_Checkpoint] = []

    @property
    def positions(self) -> list[int]:
        return [point.position for point in self._points]

    @property
    def nbytes(self) -> int:
        """Memory that the deltas take."""
        return self._pool.used * BLOCK

    @property
    def newest(self) -> int:
        """Position of the newest checkpoint; -1 without one."""
        return self._points[-1].position if self._points else -1

    def add(self, position: int, extra: Any = None) -> None:
        """Make a checkpoint of the present state.

        Args:
            position: after all other checkpoints.
            extra: other parts of the state, which `restore` returns.
        """
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
        """Go back to the last checkpoint at or before a position, and forget those after it.

        Returns:
            the checkpoint's position and its `extra`.
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
        """Remove checkpoints until `room` blocks fit: first where they are closest in relation to their age."""
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
        """One delta for `later` followed by `earlier`; of a block that both have, the earlier content remains."""
        only_later = ~np.isin(later.blocks, earlier.blocks)
        self._pool.give(later.rooms[~only_later])
        return _Delta(
            np.concatenate([earlier.blocks, later.blocks[only_later]]),
            np.concatenate([earlier.rooms, later.rooms[only_later]]),
        )

"""Compare memory with an earlier copy, block by block: plain loops over words, compiled like the engine's functions."""

from __future__ import annotations

from typing import Any, Final

BLOCK: Final = 4096
WORDS: Final = BLOCK // 8
_AT_ONCE: Final = 64


def differing(live: Any, image: Any, skip_first: int, skip_end: int, out: Any) -> int:
    """List the blocks that differ.

    Args:
        live, image: int64, shape (blocks * WORDS,).
        skip_first, skip_end: blocks skip_first…skip_end-1 are not compared.
        out: int64, shape (blocks,); receives the numbers of the differing blocks, ascending.

    Returns:
        the number of differing blocks.
    """
    found = 0
    block = 0
    blocks = len(out)
    while block < blocks:
        if block == skip_first and skip_end > skip_first:
            block = skip_end
            continue
        at = block * WORDS
        end = at + WORDS
        while at < end:
            changed = 0
            for i in range(at, at + _AT_ONCE):
                changed |= live[i] ^ image[i]
            if changed:
                out[found] = block
                found += 1
                break
            at += _AT_ONCE
        block += 1
    return found


def exchange(live: Any, image: Any, which: Any, rooms: Any, pool: Any) -> int:
    """Move some blocks of the image into the pool, and replace them by the live memory's.

    Args:
        live, image: int64, shape (blocks * WORDS,).
        which: numbers of the blocks.
        rooms: for each of these the block of the pool that receives it.
        pool: int64, whole blocks.

    Returns:
        the number of blocks.
    """
    for k in range(len(which)):
        at = which[k] * WORDS
        to = rooms[k] * WORDS
        for i in range(0, WORDS, 4):  # unrolled by hand: the native build leaves loops as they are written
            pool[to + i] = image[at + i]
            pool[to + i + 1] = image[at + i + 1]
            pool[to + i + 2] = image[at + i + 2]
            pool[to + i + 3] = image[at + i + 3]
            image[at + i] = live[at + i]
            image[at + i + 1] = live[at + i + 1]
            image[at + i + 2] = live[at + i + 2]
            image[at + i + 3] = live[at + i + 3]
    return len(which)


def put_back(image: Any, which: Any, rooms: Any, pool: Any) -> int:
    """Undo `exchange`: write the kept blocks back into the image; return their number."""
    for k in range(len(which)):
        at = which[k] * WORDS
        start = rooms[k] * WORDS
        for i in range(0, WORDS, 4):
            image[at + i] = pool[start + i]
            image[at + i + 1] = pool[start + i + 1]
            image[at + i + 2] = pool[start + i + 2]
            image[at + i + 3] = pool[start + i + 3]
    return len(which)

"""The memory that policies cost, in words."""

from __future__ import annotations

from typing import Final

from foliolab.framework.results.result import Result

STRUCT_PAGE: Final = 64
"""Bytes of Linux's struct page."""
PER_GIB: Final = 1 << 18
"""Page frames in a GiB."""


def growth(result: Result) -> list[str]:
    """A sentence for each policy that makes struct page larger, which costs memory for every page frame."""
    sentences = []
    for policy in result.config.policies:
        sizes = [cell.counted.get("struct_page_bytes", 0.0) for cell in result.cells if cell.policy == policy]
        size = int(max(sizes, default=0.0))
        if size > STRUCT_PAGE:
            more = (size - STRUCT_PAGE) * PER_GIB >> 20
            sentences.append(
                f"{policy} makes struct page {size} bytes instead of {STRUCT_PAGE}: {more} MiB more for each GiB of "
                "memory, whatever uses it"
            )
    return sentences

"""What a plugin declares to read a tracer's text: see `foliolab.framework.trace.importers`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TraceReader:
    """A format that `foliolab import` reads.

    Args:
        name: of the format, as --format takes it.
        summary: what writes such texts, a few words.
        recognise: whether a text that begins like this is of the format; given up to 64 KiB.
        read: the records (`trace.importers.records`) of a `trace.importers.source.Source`.
        unordered: whether records may come up to some seconds late, and must be sorted by time.
    """

    name: str
    summary: str
    recognise: Callable[[str], bool]
    read: Callable[[Any], Iterator[Any]]
    unordered: bool = False

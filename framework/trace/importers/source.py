"""Opening the text file of a tracer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.errors import TraceFileError

HEAD: Final = 1 << 16
"""Number of characters that a reader gets to recognise its format."""


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[str, TraceSource]]:
    """Open a text file; yields its first HEAD characters, and the whole file as a source.

    Raises:
        TraceFileError: there is no such file, or it cannot be read.
    """
    name = os.fspath(path)
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as head:
            start = head.read(HEAD)
        with Path(path).open(encoding="utf-8", errors="replace") as text:
            yield start, TraceSource(name, text)
    except FileNotFoundError as fault:
        raise TraceFileError(f"there is no file {name}", "name a file that a tracer wrote") from fault
    except OSError as fault:
        raise TraceFileError(f"{name} cannot be read: {fault.strerror or fault}", "check the path") from fault

"""Opening the text file that a tracer wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.errors import TraceFileError

HEAD: Final = 1 << 16
"""Characters by which a format is recognised."""


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[str, TraceSource]]:
    """The beginning of a text file, and all of it as a source.

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

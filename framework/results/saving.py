"""Write a run's result after every case, so that whatever ends the run, what was measured is on the disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework import intake
from foliolab.framework.document import Document
from foliolab.framework.errors import FolioLabError, NotWritten, ResultFileError

SHARE: Final = 0.05

Write = Callable[[Path], object]


class _Verification(msgspec.Struct):
    interrupted: bool = False


class _Completeness(msgspec.Struct):
    complete: bool = True
    verifications: list[_Verification] = []


class Saving:
    """Writes the result file of a run, first incomplete and then complete.

    An incomplete result never replaces a complete one, which an earlier run has left there: it goes into a file beside
    (`partial_path`), and the complete result replaces both. If writing fails, the run goes on, so that what it measures
    can be printed; `check` raises the error afterwards.

    Args:
        path: the file; None: nothing is written.
        always_beside: for a format that does not say whether it is complete.
        share: the part of a run's time that writing incomplete results may take. A case that ends too soon after the
            last one is written with the next.
    """

    def __init__(self, path: Path | None, always_beside: bool = False, share: float = SHARE) -> None:
        self._path = path
        self._share = share
        self._fault: FolioLabError | None = None
        self._next = 0.0
        self._beside: Path | None = None
        if path is not None and not _is_special(path) and (always_beside or is_complete(path)):
            self._beside = partial_path(path)

    def partial(self, make: Callable[[], Document]) -> None:
        """Write an incomplete result, unless the last one was written a moment ago.

        Args:
            make: makes the result.
        """
        self.partly(lambda path: make().save(path))

    def partly(self, write: Write) -> None:
        """As `partial`, for another format: `write` makes the result and writes it to a path."""
        path = self._beside or self._path
        if path is None or self._fault or time.monotonic() < self._next or _is_special(path):
            return
        began = time.monotonic()
        self._try(write, path)
        ended = time.monotonic()
        self._next = ended + (ended - began) / self._share

    def final(self, write: Write, complete: bool) -> str:
        """Write the result at the end of the run.

        Returns:
            where an incomplete result is, if it is not where the user asked for; else empty.
        """
        if self._path is None:
            return ""
        if not complete and self._beside is not None:
            self._try(write, self._beside)
            old = f"; {self._path} is as it was before" if self._path.exists() else ""
            return f"the run was stopped, and its result is in {self._beside}{old}"
        self._try(write, self._path)
        if self._beside is not None and self._fault is None:
            with suppress(OSError):
                self._beside.unlink()
        return ""

    def check(self) -> None:
        """Raise the error of a result that could not be written.

        Raises:
            NotWritten: the last one could not.
        """
        if self._fault is not None:
            raise self._fault

    def _try(self, write: Write, path: Path) -> None:
        try:
            write(path)
            self._fault = None
        except NotWritten as fault:
            self._fault = fault


def _is_special(path: Path) -> bool:
    """Whether it is a pipe, a terminal or another file that takes one result only."""
    return path.exists() and not path.is_file()


def partial_path(path: Path) -> Path:
    """Where an incomplete result goes if a complete one is at `path`: `result.partial.json` for `result.json`."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def is_complete(path: Path) -> bool:
    """Whether a file is the complete result of a run."""
    try:
        if not path.is_file():
            return False
        data = intake.read(path, "result file", "", Document.MOST_BYTES)
        found = msgspec.json.decode(data, type=_Completeness)
    except (OSError, ResultFileError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return False
    return found.complete and not any(one.interrupted for one in found.verifications)

"""Keeps every measurement and counterexample of the window as a file, and lists them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import NotWritten

FOLDER: Final = "recent"
MOST: Final = 1000
"""Files that are kept; the oldest gives way."""
TIME: Final = "%Y%m%dT%H%M%S"
SUFFIX: Final = ".json"
LONGEST: Final = 120
"""Characters of what a file is about, in its name."""


@dataclass(frozen=True)
class Kept:
    """A kept file.

    Args:
        path: of the file, which is a result or a counterexample as the commands write them.
        time: when it was made, in local time.
        kind: what it is, such as "cost" or "counterexample".
        about: the policies, and of a counterexample the law.
    """

    path: Path
    time: datetime
    kind: str
    about: str

    @property
    def title(self) -> str:
        """One line."""
        return f"{self.kind} of {self.about}, {self.time:%Y-%m-%d %H:%M}"


class Recent:
    """The folder of kept files. A thread writes them, so that the window does not wait for the disk.

    Args:
        folder: the user's data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="recent")

    def keep(self, kind: str, about: str, encode: Callable[[], bytes]) -> None:
        """Write a file soon. One that has the same contents is not written again.

        Args:
            kind, about: see `Kept`.
            encode: makes the contents; called in the thread.
        """
        self._writer.submit(self._write, kind, about, encode, datetime.now())

    def _write(self, kind: str, about: str, encode: Callable[[], bytes], now: datetime) -> None:
        data = encode()
        digest = hashlib.sha256(data).hexdigest()[:16]
        about = re.sub(r"[^A-Za-z0-9=,.+-]", "-", about.replace(":", "+"))[:LONGEST]
        with suppress(OSError, NotWritten):  # a full disk or a folder without permission loses only the list's entry
            self._folder.mkdir(parents=True, exist_ok=True)
            if next(self._folder.glob(f"*_{digest}{SUFFIX}"), None) is None:
                write_atomically(self._folder / f"{now.strftime(TIME)}_{kind}_{about}_{digest}{SUFFIX}", data)
            for old in self.all()[MOST:]:
                old.path.unlink(missing_ok=True)

    def wait(self) -> None:
        """Wait until everything is written."""
        self._writer.submit(lambda: None).result()

    def shut(self) -> None:
        """Write what is left, and end the thread."""
        self._writer.shutdown()

    def all(self) -> list[Kept]:
        """The kept files, the newest first."""
        found = []
        with suppress(OSError):
            for path in self._folder.glob(f"*{SUFFIX}"):
                parts = path.stem.split("_")
                with suppress(ValueError):
                    time, kind, about, _ = parts
                    found.append(Kept(path, datetime.strptime(time, TIME), kind, about.replace("+", ":")))
        return sorted(found, key=lambda one: (one.time, one.path.name), reverse=True)

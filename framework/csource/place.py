"""A place in C: a file and a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """A line of a C file.

    Args:
        file: the file's name as it was included; empty for text of FolioLab's own.
    """

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "an unknown line"

    @classmethod
    def of(cls, location: Any) -> Place:
        """The place of a location of clang's."""
        return cls(location.file.name, location.line) if location.file is not None else cls()

"""What a report is written on: lines and tables of words, each with a tone that says what it means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from foliolab.framework.report.pages.curves import Curves
from foliolab.framework.report.pages.signs import writable

Style = Literal[
    "", "good", "bad", "doubtful", "quiet", "name", "strong", "strong good", "strong bad", "strong doubtful"
]  # fmt: skip
"""What a text means, in words: a tone, and whether it stands out. A page decides how that looks."""
TONES: Final = ("good", "bad", "doubtful", "quiet")


@dataclass(frozen=True)
class Words:
    """A line, or a cell: pieces of text, each with its style. The text may have several lines."""

    pieces: tuple[tuple[str, Style], ...] = ()

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)

    @property
    def tone(self) -> str:
        words = [word for _, style in self.pieces for word in style.split()]
        return next((word for word in words if word in TONES), "")

    @property
    def strong(self) -> bool:
        return any("strong" in style.split() for _, style in self.pieces)

    def __add__(self, other: Words) -> Words:
        return Words(self.pieces + other.pieces)


@dataclass
class Column:
    """A column of a table.

    Args:
        heading: one line or several.
        cells: from top to bottom.
        right: whether the cells are aligned at the right.
        vertical: where a cell stands beside taller ones.
    """

    heading: str
    cells: list[Words] = field(default_factory=list)
    right: bool = False
    vertical: Literal["top", "bottom"] = "bottom"


Columns = Sequence[Column]


class Page(ABC):
    """A page that a report is written on, from top to bottom."""

    @property
    def encoding(self) -> str:
        """The encoding of the output; signs that it does not have are replaced."""
        return "utf-8"

    @property
    def width(self) -> int:
        """Columns of the output."""
        return 1 << 16

    @property
    def ascii(self) -> bool:
        """Whether the output has no signs beyond ASCII for certain."""
        return not self.encoding.lower().startswith("utf")

    def text(self, what: str, style: Style = "") -> Words:
        return Words(((writable(what, self.encoding), style),))

    @abstractmethod
    def line(self, what: str = "", style: Style = "") -> None:
        """Write a line. The page does not wrap it, so that it can be copied."""

    @abstractmethod
    def tables(self, title: str, first: Columns, groups: Sequence[Columns], sections: Sequence[int] = ()) -> None:
        """Write a table, or several where not all columns fit side by side.

        Args:
            title: above each of them; empty for none.
            first: columns that each of the tables begins with.
            groups: columns that stay together.
            sections: rows that end a section.
        """

    def curves(self, found: Curves) -> None:
        """Draw curves whose figures a table has, too; a page of text leaves them out."""
        return

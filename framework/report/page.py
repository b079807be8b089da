"""The page that a terminal report is written on: text that any encoding survives, tables that fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Final, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH: Final = 160
"""Columns of an output that is no terminal."""

RULE: Final = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A table's lines in ASCII: one below the headings."""

ASCII: Final = str.maketrans(
    {
        "−": "-", "–": "-", "…": "..", "×": "x", "·": ".", "≤": "<=", "µ": "u", "±": "+-", "→": "->", "▸": ">",
        "✓": "+", "✗": "x", "◐": "%",
    }
)  # fmt: skip


def console_for(file: IO[str] | None = None) -> Console:
    """A console for reports on a file, stdout by default: colours only in a terminal that wants them."""
    console = Console(file=file, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


@dataclass
class Column:
    """A column of a table.

    Args:
        heading: one line or several.
        cells: from top to bottom.
        right: whether they stand at the right.
        vertical: where a cell stands beside taller ones.
    """

    heading: str
    cells: list[Text] = field(default_factory=list)
    right: bool = False
    vertical: Literal["top", "bottom"] = "bottom"


class Page:
    """Writes on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.ascii = not console.encoding.lower().startswith("utf")

    def text(self, what: str, style: str = "") -> Text:
        """Text as the console can show it; what came from elsewhere loses its control characters."""
        shown = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in what.replace("\t", " "))
        if self.ascii:
            encoding = self.console.encoding
            shown = shown.translate(ASCII).encode(encoding, "replace").decode(encoding)
        return Text(shown, style)

    def line(self, what: str = "", style: str = "") -> None:
        """Print a line; the terminal, not the text, wraps it, so that it can be copied."""
        self.console.print(self.text(what, style), soft_wrap=True)

    def tables(
        self,
        title: str,
        first: Sequence[Column],
        groups: Sequence[Sequence[Column]],
        sections: Sequence[int] = (),
    ) -> None:
        """Print a table, or several where not all columns fit side by side.

        Args:
            title: above each of them; empty for none.
            first: columns that each of the tables begins with.
            groups: columns that stay together.
            sections: rows that end a section.
        """
        held: list[Column] = []
        for group in groups:
            if held and not self._fits(self._table(title, [*first, *held, *group], sections)):
                self.console.print(self._table(title, [*first, *held], sections))
                self.line()
                held = []
            held += group
        self.console.print(self._table(title, [*first, *held], sections))

    def _fits(self, table: Table) -> bool:
        unlimited = self.console.options.update(max_width=1 << 16)
        return self.console.measure(table, options=unlimited).maximum <= self.console.width

    def _table(self, title: str, columns: Sequence[Column], sections: Sequence[int]) -> Table:
        table = Table(
            box=RULE if self.ascii else box.SIMPLE_HEAD,
            title=self.text(title, "bold") if title else None,
            title_justify="left",
            show_edge=False,
            padding=(0, 1, 0, 0),
        )
        for column in columns:
            justify: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(self.text(column.heading), justify=justify, vertical=column.vertical, overflow="fold")
        for number, cells in enumerate(zip(*(column.cells for column in columns), strict=True)):
            table.add_row(*cells, end_section=number in sections)
        return table

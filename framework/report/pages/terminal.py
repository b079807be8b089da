"""A page in the terminal, or in the file that its output goes to; drawn by rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Final, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from foliolab.framework.report.pages.page import Column, Columns, Page, Style, Words

PIPE_WIDTH: Final = 160
"""Columns of an output that is no terminal."""

RULE: Final = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A table's lines in ASCII: one below the headings."""

COLOURS: Final = {"strong": "bold", "good": "green", "bad": "red", "doubtful": "yellow", "quiet": "dim", "name": "cyan"}


class TerminalPage(Page):
    """A page on a text stream or on a console of rich. Colours appear only in a terminal that wants them.

    Args:
        output: the stream or console; None for stdout.
    """

    def __init__(self, output: IO[str] | Console | None = None) -> None:
        if isinstance(output, Console):
            self._console = output
        else:
            self._console = Console(file=output, highlight=False, emoji=False)
            if not self._console.is_terminal:
                self._console.width = PIPE_WIDTH

    @property
    def encoding(self) -> str:
        return self._console.encoding

    @property
    def width(self) -> int:
        return self._console.width

    def line(self, what: str = "", style: Style = "") -> None:
        self._console.print(_rich(self.text(what, style)), soft_wrap=True)

    def tables(self, title: str, first: Columns, groups: Sequence[Columns], sections: Sequence[int] = ()) -> None:
        held: list[Column] = []
        for group in groups:
            if held and not self._fits(self._table(title, [*first, *held, *group], sections)):
                self._console.print(self._table(title, [*first, *held], sections))
                self.line()
                held = []
            held += group
        self._console.print(self._table(title, [*first, *held], sections))

    def _fits(self, table: Table) -> bool:
        unlimited = self._console.options.update(max_width=1 << 16)
        return self._console.measure(table, options=unlimited).maximum <= self._console.width

    def _table(self, title: str, columns: Sequence[Column], sections: Sequence[int]) -> Table:
        table = Table(
            box=RULE if self.ascii else box.SIMPLE_HEAD,
            title=_rich(self.text(title, "strong")) if title else None,
            title_justify="left",
            show_edge=False,
            padding=(0, 1, 0, 0),
        )
        for column in columns:
            justify: Literal["left", "right"] = "right" if column.right else "left"
            heading = _rich(self.text(column.heading))
            table.add_column(heading, justify=justify, vertical=column.vertical, overflow="fold")
        for number, cells in enumerate(zip(*(column.cells for column in columns), strict=True)):
            table.add_row(*map(_rich, cells), end_section=number in sections)
        return table


def _rich(words: Words) -> Text:
    pieces = [(text, " ".join(COLOURS[word] for word in style.split())) for text, style in words.pieces]
    return Text(*pieces[0]) if len(pieces) == 1 else Text.assemble(*pieces)

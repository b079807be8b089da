"""A terminal's report as a document: what is written on a sheet is kept, and told as Markdown or as one HTML file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from foliolab.framework.errors import UsageError
from foliolab.framework.report.page import Column, Page

TEMPLATES: Final = Path(__file__).with_name("templates")
TONES: Final = {"red": "bad", "yellow": "doubtful", "green": "good", "dim": "quiet"}


@dataclass(frozen=True)
class Words:
    """A line, or a cell.

    Args:
        text: what it says; may have several lines.
        tone: good, bad, doubtful, quiet or empty.
        strong: whether it stands out.
    """

    text: str
    tone: str = ""
    strong: bool = False

    @classmethod
    def of(cls, text: Text) -> Words:
        """What a terminal would show, without its colours' names."""
        styles = " ".join(str(style) for style in (text.style, *(span.style for span in text.spans))).split()
        return cls(text.plain, next((TONES[one] for one in styles if one in TONES), ""), "bold" in styles)


@dataclass(frozen=True)
class Grid:
    """A table.

    Args:
        title: above it; may be empty.
        headings: of its columns.
        rows: cells.
        right: which columns stand at the right.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    right: tuple[bool, ...]


class Sheet(Page):
    """A page that keeps what is written on it; as wide as it must be.

    Attributes:
        parts: lines and tables, from top to bottom.
    """

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.parts: list[Words | Grid] = []

    def line(self, what: str = "", style: str = "") -> None:
        """Keep a line."""
        self.parts.append(Words.of(self.text(what, style)))

    def tables(
        self,
        title: str,
        first: Sequence[Column],
        groups: Sequence[Sequence[Column]],
        sections: Sequence[int] = (),
    ) -> None:
        """Keep a table, all of its columns side by side."""
        columns = [*first, *(column for group in groups for column in group)]
        rows = zip(*(column.cells for column in columns), strict=True)
        self.parts.append(
            Grid(
                title,
                tuple(column.heading.replace("\n", " ") for column in columns),
                tuple(tuple(map(Words.of, row)) for row in rows),
                tuple(column.right for column in columns),
            )
        )


# -- as text -----------------------------------------------------------------------------------------
def markdown(sheet: Sheet, title: str, repeat: Sequence[tuple[str, str]]) -> str:
    """As Markdown, for a pull request.

    Args:
        sheet: what was written.
        title: of the whole.
        repeat: how to repeat it: (what, text), the command first.
    """
    lines = [f"### {_plain(title)}", ""]
    for part in sheet.parts:
        lines += _grid(part) if isinstance(part, Grid) else _line(part)
    lines = [line for i, line in enumerate(lines) if line or (i and lines[i - 1])]
    lines += ["", "<details>", "<summary>How to repeat it</summary>", "", f"- {repeat[0][0]}: `{repeat[0][1]}`"]
    lines += [f"- {what}: {_plain(text)}" for what, text in repeat[1:]]
    return "\n".join([*lines, "", "</details>"]) + "\n"


def _line(words: Words) -> list[str]:
    text = _plain(words.text)
    if not text:
        return []
    if words.text.startswith(" "):
        return [f"- {text}"]
    return ["", f"**{text}**" if words.strong else text, ""]


def _grid(grid: Grid) -> list[str]:
    lines = ["", f"**{_plain(grid.title)}**", ""] if grid.title else [""]
    lines.append(f"| {' | '.join(map(_plain, grid.headings))} |")
    lines.append("|" + "".join("--:|" if right else "---|" for right in grid.right))
    for row in grid.rows:
        cells = (f"**{text}**" if word.strong and (text := _plain(word.text)) else _plain(word.text) for word in row)
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _plain(text: str) -> str:
    """Text that ends neither a cell nor a line, and is no HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def html(sheet: Sheet, title: str, repeat: Sequence[tuple[str, str]]) -> str:
    """As one HTML file that needs nothing else.

    Raises:
        UsageError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as fault:
        raise UsageError(f"HTML needs jinja2: {fault}", "pip install 'foliolab[report]', or --format md") from fault

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    parts = [("grid" if isinstance(part, Grid) else "line", part) for part in sheet.parts]
    return environment.get_template("sheet.html.j2").render(title=title, parts=parts, repeat=repeat)

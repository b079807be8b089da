"""A page that is kept as a document: Markdown, or one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foliolab.framework.escaping import markdown as plain
from foliolab.framework.escaping import markdown_code
from foliolab.framework.report.pages import templates
from foliolab.framework.report.pages.curves import Curves, svg
from foliolab.framework.report.pages.page import Columns, Page, Style, Words


@dataclass(frozen=True)
class Grid:
    """A table.

    Args:
        title: above the table; may be empty.
        right: which columns are aligned at the right.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    right: tuple[bool, ...]


class DocumentPage(Page):
    """A page that keeps what is written on it, however wide.

    Attributes:
        parts: lines, tables and curves, from top to bottom; Markdown leaves curves out.
    """

    def __init__(self) -> None:
        self.parts: list[Words | Grid | Curves] = []

    def line(self, what: str = "", style: Style = "") -> None:
        self.parts.append(self.text(what, style))

    def tables(self, title: str, first: Columns, groups: Sequence[Columns], sections: Sequence[int] = ()) -> None:
        columns = [*first, *(column for group in groups for column in group)]
        self.parts.append(
            Grid(
                title,
                tuple(column.heading.replace("\n", " ") for column in columns),
                tuple(zip(*(column.cells for column in columns), strict=True)),
                tuple(column.right for column in columns),
            )
        )

    def curves(self, found: Curves) -> None:
        self.parts.append(found)


# -- as text -----------------------------------------------------------------------------------------
def markdown(page: DocumentPage, title: str, repeat: Sequence[tuple[str, str]]) -> str:
    """A page as Markdown, for a pull request.

    Args:
        repeat: how to repeat the run: (heading, text), the command first.
    """
    lines = [f"### {plain(title)}", ""]
    for part in page.parts:
        if not isinstance(part, Curves):
            lines += _grid(part) if isinstance(part, Grid) else _line(part)
    lines = [line for i, line in enumerate(lines) if line or (i and lines[i - 1])]
    lines += ["", "<details>", "<summary>How to repeat it</summary>", ""]
    lines.append(f"- {repeat[0][0]}: {markdown_code(repeat[0][1])}")
    lines += [f"- {what}: {plain(text)}" for what, text in repeat[1:]]
    return "\n".join([*lines, "", "</details>"]) + "\n"


def _line(words: Words) -> list[str]:
    text = plain(words.text)
    if not text:
        return []
    if words.text.startswith(" "):
        return [f"- {text}"]
    return ["", f"**{text}**" if words.strong else text, ""]


def _grid(grid: Grid) -> list[str]:
    lines = ["", f"**{plain(grid.title)}**", ""] if grid.title else [""]
    lines.append(f"| {' | '.join(map(plain, grid.headings))} |")
    lines.append("|" + "".join("--:|" if right else "---|" for right in grid.right))
    for row in grid.rows:
        cells = (f"**{text}**" if word.strong and (text := plain(word.text)) else plain(word.text) for word in row)
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def html(page: DocumentPage, title: str, repeat: Sequence[tuple[str, str]]) -> str:
    """A page as one HTML file that needs nothing else; arguments as of `markdown`.

    Raises:
        UsageError: jinja2 is not installed.
    """
    kinds = {Grid: "grid", Words: "line", Curves: "curves"}
    parts = [(kinds[type(part)], part) for part in page.parts]
    return templates.render("document.html.j2", title=title, parts=parts, repeat=repeat, svg=svg)

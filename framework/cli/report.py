"""Write a result as Markdown, HTML, CSV or a picture.

The HTML file needs nothing else and opens without a network: first the matrix of policies and workloads, then what
stands behind each cell, then how to repeat it. Pictures are curves over folio size, for a mail or a paper. Results of
`foliolab precision` and `consequences` become md, html and csv.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.consequences.result import ConsequencesResult
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.precision.result import PrecisionResult
    from foliolab.framework.results.result import Result

FORMATS: Final = ("md", "html", "csv", "png", "svg")


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A result of compare, precision or consequences.")],
    form: Annotated[
        str, typer.Option("--format", metavar="|".join(FORMATS), help="What to write. [by --output, else md]")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="Where to. [md: stdout; else beside FILE]")
    ] = None,
    baseline: Annotated[str | None, typer.Option(metavar="POLICY", help="Compare with another policy of it.")] = None,
    plugin: _common.Plugins = None,
) -> None:
    """Write a result as Markdown, HTML, CSV, PNG or SVG, the published figures beside it."""
    chosen = form or (output.suffix.removeprefix(".") if output is not None else "md")
    if chosen not in FORMATS:
        raise UsageError(f"there is no format {chosen!r}", f"formats are {', '.join(FORMATS)}")
    place = output if output is not None else None if chosen == "md" else file.with_suffix(f".{chosen}")
    _common.writable(place)
    from foliolab.framework.results import difference
    from foliolab.framework.results import result as results

    result = difference.load(file)
    if not isinstance(result, results.Result):
        if baseline is not None:
            raise UsageError(f"a result of foliolab {result.kind} has no baseline", "leave --baseline out")
        _put(_wrongness(result, chosen), place)
        return
    found = _common.registry(plugin)
    from foliolab.framework.report import csvfile, html, markdown, matrix, pictures
    from foliolab.framework.results import comparison

    rows = comparison.compare(
        result, baseline, published=_common.published_figures(found), resolve=_common.resolver(found)
    )
    whole = matrix.matrix(result, rows, _refuted(found, result))
    if place is not None and chosen == "csv":
        csvfile.write(rows, place)
        print(f"written: {place}")
    elif place is not None and chosen in ("png", "svg"):
        pictures.write(whole, place, chosen)
        print(f"written: {place}")
    else:
        _put(html.html(whole) if chosen == "html" else markdown.markdown(whole), place)


def _put(text: str, place: Path | None) -> None:
    """Write a text where it was asked for: into a file, or to the terminal."""
    if place is None:
        print(text, end="")
        return
    from foliolab.framework.document import write_atomically

    write_atomically(place, text.encode())
    print(f"written: {place}")


def _wrongness(result: PrecisionResult | ConsequencesResult, form: str) -> str:
    from foliolab.framework.report import recorded_page, studies

    if form in ("png", "svg"):
        raise UsageError(f"there is no picture of a result of foliolab {result.kind}", "formats are md, html, csv")
    if form == "csv":
        return studies.table(result)
    write = recorded_page.html if form == "html" else recorded_page.markdown
    return write(studies.sheet(result), studies.title(result), studies.repeat(result))


def _refuted(found: Registry, result: Result) -> list[str]:
    """Which claims of the policies, as their texts are now, `verify` or `check` refuted."""
    schemes = []
    for name in result.config.policies:
        with suppress(UsageError):  # made elsewhere: there is no such policy here
            schemes.append(found.policy(name))
    return _common.refuted(found, schemes)

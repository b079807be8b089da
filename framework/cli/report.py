"""Write a result as Markdown, HTML, CSV or a picture.

The HTML file is complete in itself: the matrix of policies and workloads, the evidence of each cell, and how to repeat
it. Pictures are curves over folio size. Results of `foliolab precision`, `consequences`, `replay` and `kernel count`
can be written as Markdown, HTML and CSV; the HTML of a replay draws its course over time, and the CSV of counts has
every function of the kernel.
Exit codes: 0 all is reported, 1 something was asked for and not measured; the report says what.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework import intake
from foliolab.framework.cli import _beside, _common
from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.results.result import Result

FORMATS: Final = ("md", "html", "csv", "png", "svg")


def run(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A result of compare, precision, consequences, replay, kernel count."),
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            help="The format, which may be a plugin's. [as --output ends, else md]",
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="Output file. [md: stdout; else beside FILE]"),
    ] = None,
    baseline: Annotated[str | None, typer.Option(metavar="POLICY", help="Compare with this policy.")] = None,
    beside: _beside.Files = None,
    plugin: _common.Plugins = None,
) -> None:
    """Write a result in another format, with the published and imported figures."""
    from foliolab.framework.report import formats

    chosen = form or (output.suffix.removeprefix(".") if output is not None else "md")
    reporter = None if chosen in FORMATS else formats.reporter_of(_common.registry(plugin), chosen)
    if output is None and chosen != "md" and not os.path.isfile(file) and os.path.exists(file):
        raise UsageError(f"{file} is no file that the report can lie beside", f"name it: --output FILE.{chosen}")
    path = output if output is not None else None if chosen == "md" else file.with_suffix(f".{chosen}")
    _common.writable(path)
    from foliolab.framework.report import result_files
    from foliolab.framework.results.comparison import ComparisonFailed, compare, failed
    from foliolab.framework.results.result import Result

    result = result_files.load(file)
    found = _common.registry(plugin)
    columns = _beside.read(found, beside)
    with intake.named(file):
        if not isinstance(result, Result):
            if baseline is not None or beside:
                what, option = ("cells of compare", "--beside") if beside else ("baseline", "--baseline")
                raise UsageError(f"a result of foliolab {result.verb} has no {what}", f"leave {option} out")
            _put(formats.plugin_text(reporter, result, []) if reporter else formats.study_text(result, chosen), path)
            if result.lost:
                raise ComparisonFailed(f"{len(result.lost)} cases were not measured", f"the first: {result.lost[0]}")
            return
        result = _beside.put(found, result, *columns)
        rows = compare(result, baseline, published=found.published_figures(), resolve=found.parameters_of)
        if reporter:
            _put(formats.plugin_text(reporter, result, rows), path)
        else:
            _put(formats.comparison_text(result, rows, _refuted(found, result), chosen), path)
        if (fault := failed(rows, result)) is not None:
            raise ComparisonFailed(fault.what, fault.hint)  # whatever the reason was: here it is a report with gaps


def _put(text: str | bytes, path: Path | None) -> None:
    if path is None:
        _common.put(text if isinstance(text, str) else text.decode())
        return
    from foliolab.framework.document import write_atomically

    write_atomically(path, text if isinstance(text, bytes) else text.encode())
    _common.put(f"written: {path}\n")


def _refuted(found: Registry, result: Result) -> list[str]:
    """The refuted claims of the result's policies, for their present texts."""
    schemes = []
    for name in result.config.policies:
        if name.partition(":")[0] not in found.policies:
            continue
        with suppress(UsageError):  # the result comes from another host, whose policies may be missing here
            schemes.append(found.policy(name))
    return _common.refuted(found, schemes)

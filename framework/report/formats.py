"""The formats of `foliolab report`: FolioLab's own, and those of plugins (hook `foliolab_reporters`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from foliolab.framework.errors import PluginError, UsageError
from foliolab.framework.results.result import Result

if TYPE_CHECKING:
    from foliolab.framework.consequences.result import ConsequencesResult
    from foliolab.framework.contract.reporter import Reporter
    from foliolab.framework.kernel.counting.result import CountsResult
    from foliolab.framework.partial.result import PartialResult
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.precision.result import PrecisionResult
    from foliolab.framework.replay.result import ReplayResult
    from foliolab.framework.results.comparison import Row

    Study = PrecisionResult | ConsequencesResult | ReplayResult | PartialResult | CountsResult

FORMATS: Final = ("md", "html", "csv", "png", "svg")
PICTURES: Final = ("png", "svg")


def reporter_of(registry: Registry, name: str) -> Reporter:
    """A plugin's format.

    Raises:
        UsageError: there is no such format.
        PluginError: the plugin that offers it failed.
    """
    failed = any(name == failure.name or name in failure.offers for failure in registry.failures)
    if name not in registry.reporters and not failed:
        raise UsageError(f"there is no format {name!r}", f"formats are {', '.join([*FORMATS, *registry.reporters])}")
    return registry.find(type(registry).reporters, name)


def study_text(study: Study, form: str) -> str:
    """A result of precision, consequences, replay or kernel count in one of FolioLab's formats.

    Raises:
        UsageError: there is no picture of it, or jinja2 is missing.
    """
    from foliolab.framework.report import studies
    from foliolab.framework.report.pages import document

    if form in PICTURES:
        raise UsageError(f"there is no picture of a result of foliolab {study.verb}", "formats are md, html, csv")
    if form == "csv":
        return studies.table(study)
    write = document.html if form == "html" else document.markdown
    return write(studies.document_page(study), studies.title(study), studies.repeat(study))


def comparison_text(result: Result, rows: Sequence[Row], remarks: Sequence[str], form: str) -> str | bytes:
    """A result of compare in one of FolioLab's formats; pictures are bytes.

    Args:
        rows: its comparison, with the published figures.
        remarks: what else is known about the policies, such as refuted claims.
        form: one of FORMATS.

    Raises:
        UsageError: what the format needs is not installed, or the result has no curve to draw.
    """
    from foliolab.framework.report.comparison import csvfile, html, markdown, matrix, pictures

    if form == "csv":
        return csvfile.text(rows)
    whole = matrix.matrix(result, rows, remarks)
    if form in PICTURES:
        return pictures.draw(whole, form)
    return html.html(whole) if form == "html" else markdown.markdown(whole)


def plugin_text(reporter: Reporter, result: Result | Study, rows: Sequence[Row]) -> str:
    """A result in a plugin's format.

    Raises:
        UsageError: the format is not for results of this kind.
        PluginError: the plugin's function failed, or returned no text.
    """
    from foliolab.framework.engine.answers import describe

    kind = "compare" if isinstance(result, Result) else result.verb
    if kind not in reporter.kinds:
        raise UsageError(
            f"the format {reporter.name} is not for results of foliolab {kind}",
            f"it is for results of {', '.join(reporter.kinds)}",
        )
    try:
        text = reporter.render(result, rows)
    except Exception as fault:
        raise PluginError(
            f"report format {reporter.name} failed: {describe(fault)}",
            "correct the plugin, or choose another format",
        ) from fault
    if not isinstance(text, str):
        raise PluginError(
            f"report format {reporter.name}: render returned a {type(text).__name__}, not a str", "return the text"
        )
    return text

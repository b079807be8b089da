"""What reports must be, letter by letter: `python tests/report/golden.py` writes it anew, after somebody has looked.

first.json and second.json were made by `foliolab compare --policies page-mapcount,mm-id,no-page-mapcount --workloads
munmap,fork,reuse --sizes 16K,64K,2M --memory 16M --repeats 12 --json FILE`, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from foliolab.framework.plugins import registry
from foliolab.framework.report import difference as differences
from foliolab.framework.report import result_files
from foliolab.framework.report.comparison import csvfile, html, markdown
from foliolab.framework.report.comparison.matrix import Matrix, matrix
from foliolab.framework.results import comparison, difference
from foliolab.framework.results.result import Result

HERE: Final = Path(__file__).parent


def found(name: str = "first.json") -> Matrix:
    """The matrix of one of the results, with the published figures."""
    known = registry.load()
    result = Result.load(HERE / name)
    rows = comparison.compare(result, published=known.published_figures(), resolve=known.parameters_of)
    return matrix(result, rows)


def _csv() -> str:
    place = HERE / "now.csv"
    csvfile.write(comparison.compare(Result.load(HERE / "first.json")), place)
    text = place.read_text()
    place.unlink()
    return text


def _diff() -> str:
    one, other = (result_files.load(HERE / name) for name in ("first.json", "second.json"))
    return differences.markdown(difference.difference(one, other), ("first.json", "second.json"), everything=True)


GOLDEN: Final[dict[str, Callable[[], str]]] = {
    "report.md": lambda: markdown.markdown(found()),
    "report.html": lambda: html.html(found()),
    "report.csv": _csv,
    "diff.md": _diff,
}

if __name__ == "__main__":
    for name, make in GOLDEN.items():
        (HERE / name).write_text(make())

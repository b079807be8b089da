"""HTML from the templates of this package, by jinja2."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from foliolab.framework.errors import UsageError
from foliolab.framework.escaping import visible

TEMPLATES: Final = Path(__file__).parents[1] / "templates"


def render(template: str, **values: object) -> str:
    """A template, filled with values.

    Raises:
        UsageError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as fault:
        raise UsageError(
            f"HTML needs jinja2: {fault}", "pip install 'foliolab[report]', or choose another form"
        ) from fault

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_finalized,
    )  # fmt: skip
    return environment.get_template(template).render(**values)


def _finalized(value: object) -> object:
    """What a place in a template shows: text with its control characters visible; autoescape follows."""
    return visible(value) if type(value) is str else value

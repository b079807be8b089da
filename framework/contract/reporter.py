"""What a plugin declares to add a format to `foliolab report`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reporter:
    """A format that `foliolab report --format` writes.

    Args:
        name: of the format, as --format takes it; also the suffix of the file that is written by default.
        summary: what the format is for, in one line.
        render: (result, rows) -> the text of the report. `result` is what the file held: a
            `foliolab.framework.results.result.Result` of compare, or the result of precision, consequences, replay or
            kernel count. `rows` are the `foliolab.framework.results.comparison.Row`s of a result of compare, published
            figures included; they are empty for other results.
        kinds: the verbs whose results `render` understands.
    """

    name: str
    summary: str
    render: Callable[[Any, Any], str]
    kinds: tuple[str, ...] = ("compare",)

"""Print the reference: hooks, primitives, claims, file formats.

Without a name it prints everything: also laws, free bytes, records of trace readers, events, counted metrics, options
of pytest, exit codes and errors.
"""

from __future__ import annotations

from typing import Annotated

import typer


def run(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="An entry, such as add_ptes, or a part, such as primitives. [all]")
    ] = "",
) -> None:
    """Print the reference of everything that authors of plugins and of CI files use."""
    from foliolab.framework.reference import parts
    from foliolab.framework.report.pages.plain_text import Plain

    page = Plain()
    for line in list(parts.find(name) if name else parts.everything()):
        page.line(line)

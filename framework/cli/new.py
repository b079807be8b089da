"""Create a package for a policy, a workload or a trace reader.

The package can be installed, and its tests pass as they are: entry point, commented code, tests, a CI file.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from foliolab.framework.errors import UsageError


def run(
    kind: Annotated[str, typer.Argument(metavar="policy|workload|reader", help="What to begin.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name: lower case, hyphens between words.")],
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to; must not exist. [NAME]")] = None,
    file: Annotated[
        bool, typer.Option("--file", help="Only the policy's file NAME.py, for --plugin and the window.")
    ] = False,
) -> None:
    """Write a package: its entry point, a commented text, tests (it is listed, it conforms), a CI file."""
    from foliolab.framework.plugins import starter
    from foliolab.framework.plugins.starter import package

    if file:
        if kind != "policy":
            raise UsageError(f"--file begins a policy, no {kind}", "leave it out for a package")
        path = starter.write(name, (folder or Path()) / starter.file_name(name))
        print(f"written: {path}\nnext: foliolab check --plugin {shlex.quote(str(path))}")
        return
    place = folder or Path(name)
    for path in package.write(kind, name, place):
        print(f"written: {path}")
    print(f"next: pip install -e {shlex.quote(str(place))}'[test]' && pytest {shlex.quote(str(place))}")

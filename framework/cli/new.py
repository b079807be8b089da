"""Create a package: a policy, workload, pattern or trace reader.

The package can be installed, and its tests pass as they are: entry point, commented code, tests, a CI file.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import UsageError


def run(
    kind: Annotated[str, typer.Argument(metavar="policy|workload|pattern|reader", help="What to create.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name: lower case, hyphens between words.")],
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="The new folder. [NAME]")] = None,
    file: Annotated[
        bool, typer.Option("--file", help="Write only the policy's file NAME.py, for --plugin and the window.")
    ] = False,
) -> None:
    """Create a package."""
    from foliolab.framework.plugins import starter
    from foliolab.framework.plugins.starter import package

    if file:
        if kind != "policy":
            raise UsageError(f"--file is for policies, not for a {kind}", "leave out --file")
        path = starter.write(name, (folder or Path()) / starter.file_name(name))
        _common.put(f"written: {path}\nnext: foliolab check --plugin {shlex.quote(str(path))}\n")
        return
    target = folder or Path(name)
    for path in package.write(kind, name, target):
        _common.put(f"written: {path}\n")
    _common.put(f"next: pip install -e {shlex.quote(str(target))}'[test]' && pytest {shlex.quote(str(target))}\n")

"""Create a package: a policy, or another plugin.

The package can be installed, and its tests pass as they are: entry point, commented code, tests, a CI file.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import UsageError

METAVAR: Final = "policy|caller|asker|detector|workload|pattern|reader"


def run(
    kind: Annotated[str, typer.Argument(metavar=METAVAR, help="What to create.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name: lower case, hyphens between words.")],
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="The new folder. [NAME]")] = None,
    file: Annotated[
        bool, typer.Option("--file", help="Write only the policy's file NAME.py, for --plugin and the window.")
    ] = False,
    c: Annotated[bool, typer.Option("--c", help="Write the policy's file in C, NAME.c.")] = False,
) -> None:
    """Create a package."""
    _refuse_taken(kind, name)
    from foliolab.framework.plugins import starter
    from foliolab.framework.plugins.starter import package

    if file or c:
        if kind != "policy":
            option = "--c" if c else "--file"
            raise UsageError(f"{option} is for policies, not for a {kind}", f"leave out {option}")
        path = starter.write(name, (folder or Path()) / starter.file_name(name, ".c" if c else ".py"))
        command = f"check {shlex.quote(str(path))}" if c else f"check --plugin {shlex.quote(str(path))}"
        _common.put(f"written: {path}\nnext: foliolab {command}\n")
        return
    target = folder or Path(name)
    for path in package.write(kind, name, target):
        _common.put(f"written: {path}\n")
    _common.put(f"next: pip install -e {shlex.quote(str(target))}'[test]' && pytest {shlex.quote(str(target))}\n")


def _refuse_taken(kind: str, name: str) -> None:
    """Refuse a name under which an installed plugin, or one of the user's folder, already offers the same kind.

    Raises:
        UsageError: the name is taken; names the owner.
    """
    from foliolab.framework.plugins.starter.package import KINDS

    if kind not in KINDS:
        return  # the writer says what there is
    for plugin in _common.registry(None).plugins:
        if name in plugin.offers[KINDS[kind].offers]:
            raise UsageError(
                f"there is a {kind} {name} already, of {plugin.source} ({plugin.name})", "choose another name"
            )

"""Play scenarios on kernels in guests: which kernels do what a scenario's text expects, and what others do instead.

Without a name, all scenarios are played that plugins offer. `--save FILE` keeps the answers as data; the page "Which
kernels do this?" of the documentation is made from such a file. No root is needed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from foliolab.framework.cli import _common
from foliolab.framework.cli.kernel import _guests, _line
from foliolab.framework.errors import FolioLabError, NothingMeasured, UsageError

Names = Annotated[list[str] | None, typer.Argument(metavar="[SCENARIO]...", help="Names of scenarios. [all]")]
Save = Annotated[Path | None, typer.Option(metavar="FILE", help="Add what each kernel does to a file.")]
Matrix = Annotated[bool, typer.Option("--matrix", help="All kernels at hand.")]


def run(
    names: Names = None,
    kernel: _guests.Kernels = None,
    image: _guests.ImageFile = None,
    initrd: _guests.Initrd = None,
    matrix: Matrix = False,
    save: Save = None,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
) -> None:
    """Play scenarios on kernels in guests: a row a scenario, a column a kernel."""
    from foliolab.framework.kernel import survey
    from foliolab.framework.report import kernelscenarios
    from foliolab.framework.report.pages.plain_text import Plain
    from foliolab.framework.scenario import parser

    _common.writable(save)
    found = _common.registry(plugin, strict)
    _common.warn(found)
    named = _guests.images(found, kernel, image, initrd, matrix)
    chosen = [replace(one, name=one.release or one.name) for one in named]  # answers are kept by release
    if not chosen:
        raise UsageError("no kernel is named", "name some with --kernel, or use --matrix; `foliolab kernel list`")
    scenarios = parser.load_in_order(found.scenario(name) for name in names or found.scenarios)
    kernels = []
    for made in survey.play_all(chosen, scenarios, _common.typed(), _progress):
        _line.clear()
        kernels.append(made)
        if save is not None:
            survey.keep(kernels, save)
    _line.clear()
    order = [one.name for one in chosen]
    kernels.sort(key=lambda one: order.index(one.name))
    kernelscenarios.render(kernels, Plain())
    if len(kernels) < len(chosen):
        raise typer.Exit(_common.INTERRUPTED)
    if not any(one.deeds for one in kernels):
        raise NothingMeasured("no scenario was played", kernels[0].lost)
    if lost := [one for one in kernels if one.lost]:
        raise FolioLabError(f"{len(lost)} of {len(kernels)} kernels were lost", f"{lost[0].name}: {lost[0].lost}")


def _progress(name: str, played: int, whole: int) -> None:
    _line.show(f"{name}: {played} of {whole} scenarios")

"""Count what kernels execute in the microbenchmarks: instructions, locked instructions, loads and stores.

Each kernel runs in a guest under QEMU's TCG with a plugin that counts, exactly, between the benchmark's first and last
instruction. The counts of the policy that models the kernel stand beside. Several kernels are compared with the first:
`foliolab kernel count Base No-Mapcount`.
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.cli.kernel import _guests
from foliolab.framework.errors import UsageError

MEMORY: Final = "16M"

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", show_default=False, help="Kernels at hand.")]
Workloads = Annotated[list[str] | None, typer.Option(metavar="LIST", help=f"Workloads, {_common.LISTS}. [all]")]
Sizes = Annotated[list[str] | None, typer.Option(metavar="LIST", help="Folio sizes such as 4K,64K,2M. [all]")]
Memory = Annotated[str, typer.Option(metavar="SIZE", help="Memory that each cell works on.")]
Functions = Annotated[bool, typer.Option("--functions", help="Print the functions of each cell, too.")]


def run(  # noqa: PLR0913  (one parameter per option)
    names: Names = None,
    kernel: _guests.Kernels = None,
    image: _guests.ImageFile = None,
    initrd: _guests.Initrd = None,
    workloads: Workloads = None,
    sizes: Sizes = None,
    memory: Memory = MEMORY,
    functions: Functions = False,
    json: _common.ResultFile = None,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
) -> None:
    """Count what kernels in guests execute in each microbenchmark, beside the counts of the policy that models them."""
    _common.writable(json)
    from foliolab.framework.kernel.counting import run as counting
    from foliolab.framework.plugins.selection import parse_sizes
    from foliolab.framework.report import kernelcounts
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.results.saving import Saving

    found = _common.registry(plugin, strict)
    _common.warn(found)
    chosen = _guests.images(found, [*(names or []), *(kernel or [])], image, initrd)
    if not chosen:
        raise UsageError("no kernel is named", "`foliolab kernel list` shows those at hand: foliolab kernel count 7.3")
    _guests.say_difference(chosen)
    request = counting.Request(
        images=chosen,
        workloads=_guests.workloads(workloads),
        sizes=[4 << order for order in parse_sizes(sizes or ["all"])],
        memory=_guests.memory_of(memory),
        command=_common.typed(),
    )
    saving = Saving(json)
    with Progress() as progress:
        result = counting.run(request, found, progress)
    _common.save(result, saving, result.complete)
    kernelcounts.render(result, TerminalPage(), functions)
    saving.check()
    if not result.complete:
        raise typer.Exit(_common.INTERRUPTED)
    kernelcounts.check(result)

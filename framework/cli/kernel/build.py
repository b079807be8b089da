"""Build a small kernel for guests from a tree, out of the tree, in the cache folder.

TREE is a folder with a clean tree of the kernel, or `debian:7.3` for the tree in Debian's package linux-source-7.3.
The configuration has what guests need, and what --set says. The kernel is then one of `foliolab kernel list`, and
`--kernel` finds it by the end of its release, such as no-page-mapcount. No root is needed; the tree is only read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foliolab.framework.cli import _common

Tree = Annotated[str, typer.Argument(metavar="TREE", help="A folder, or debian:7.3.", show_default=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="OPTION=VALUE", help="An option such as CONFIG_NO_PAGE_MAPCOUNT=y; may be repeated."),
]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="The end of its release; by default, the options set.")]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", min=0, max=1024, metavar="N", help="Compilers at a time; 0: one a processor.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be downloaded and built, and stop.")]


def run(tree: Tree, sets: Sets = None, name: Name = None, jobs: Jobs = 0, dry_run: DryRun = False) -> None:
    """Build a small kernel for guests from a tree, with some minutes of compiling. Ctrl-C: the same command goes on."""
    import os

    from foliolab.framework.kernel.images import build, build_tools, sources
    from foliolab.framework.kernel.images.debian import Debian
    from foliolab.framework.report.progress import Progress

    chosen = build.options(sets or [])
    named = name or build.name_of(chosen)
    tools = build_tools.tools()
    wanted = sources.version(tree)
    with_debian = Debian(_common.say) if wanted else None
    if with_debian is not None:
        package = sources.offer(with_debian.apt, wanted)
        place, origin = sources.folder(package), f"Debian: {package.name} {package.version}"
        there = "at hand" if place.is_dir() else f"{package.size / 1e6:.0f} MB to download"
        _common.put(f"{package.name} {package.version}: {there}; its tree takes {sources.UNPACKED_GB} GB: {place}\n")
    else:
        place = Path(tree).resolve()
        origin = str(place)
        build.check_tree(place)
    recipe = build.Recipe(place, chosen, named, origin)
    if dry_run:
        _common.put(f"{named}: to be built in {recipe.folder}\n")
        return
    with Progress() as progress:
        if with_debian is not None:
            sources.get(with_debian.apt, package, progress)
        made = build.Build(recipe, tools, jobs or len(os.sched_getaffinity(0)), progress)
        try:
            image = made.run()
        except KeyboardInterrupt:
            _common.say(f"{made.compiled} files are compiled in {made.folder}; the same command goes on from there")
            raise
    _common.put(f"{image.name}: {image.bytes / 1e6:.0f} MB in {image.vmlinuz.parent}\n")

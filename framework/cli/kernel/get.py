"""Fetch kernels from Debian, for guests. `qemu` as a name fetches QEMU, `build-tools` what `kernel build` needs.

The system is not touched: apt gets a root of its own in the cache folder. A name such as 6.12 means the newest of that
version. Without a name, this lists the versions that Debian has.
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from foliolab.framework.cli import _common

QEMU: Final = "qemu"

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be downloaded, and stop.")]


def run(names: Names = None, dry_run: DryRun = False) -> None:
    """Fetch kernels from Debian into the cache folder, after saying how large they are."""
    from foliolab.framework.kernel.guest import fetching
    from foliolab.framework.kernel.images import build_tools, debian, store
    from foliolab.framework.plugins.selection import split

    wanted = dict.fromkeys(split(names or []))
    for name, fetch in ((QEMU, fetching.fetch), (build_tools.NAME, build_tools.fetch)):
        if name in wanted:
            fetch(_common.say, dry_run)
            del wanted[name]
    if names and not wanted:
        return
    source = debian.Debian(_common.say)
    if not wanted:
        for release in source.releases():
            _common.put(f"{release}\n")
        return
    offers = [source.offer(name) for name in wanted]
    have = {image.name for image in store.images()}
    missing = [offer for offer in offers if offer.release not in have]
    for offer in offers:
        parts = ", ".join(one.name for one in offer.packages)
        where = "at hand" if offer not in missing else f"up to {offer.size / 1e6:.0f} MB: {parts}"
        _common.put(f"{offer.release}: {where}\n")
    _common.put(f"{len(missing)} to download, up to {sum(offer.size for offer in missing) / 1e6:.0f} MB\n")
    for offer in [] if dry_run else missing:
        image = source.get(offer)
        _common.put(f"{image.name}: {image.bytes / 1e6:.0f} MB in {image.vmlinuz.parent}\n")

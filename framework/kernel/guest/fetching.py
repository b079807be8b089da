"""QEMU from Debian's packages, for this host, unpacked below the cache folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from foliolab.framework.kernel.guest.qemu import fetched_root, qemu
from foliolab.framework.kernel.images import host_packages

PACKAGE: Final = "qemu-system-x86"


def fetch(tell: Callable[[str], None], dry_run: bool = False) -> None:
    """Fetch QEMU with the libraries that this host lacks; as for `host_packages.fetch`."""
    instead = "install your distribution's package of qemu-system-x86_64"
    host_packages.fetch([PACKAGE], fetched_root(), instead, tell, dry_run)
    if not dry_run:
        tell(f"unpacked: {qemu().program}")

"""QEMU from Debian's packages, for this host, unpacked below the cache folder: no root, and nothing is installed."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.kernel.guest.qemu import fetched_root, qemu
from foliolab.framework.kernel.images import store
from foliolab.framework.kernel.images.apt import Apt

PACKAGE: Final = "qemu-system-x86"
STATUS: Path = Path("/var/lib/dpkg/status")


def fetch(tell: Callable[[str], None], dry_run: bool = False) -> None:
    """Fetch QEMU with the libraries that this host lacks.

    Args:
        tell: says what happens, a line at a time, before it happens.
        dry_run: stop after saying what would be downloaded.

    Raises:
        UsageError: this host is not Debian.
        KernelError: apt cannot be used here, or a download fails.
    """
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    suite = system.get("VERSION_CODENAME", "")
    if system.get("ID") != "debian" or not suite:
        raise UsageError("QEMU is fetched on Debian only", "install your distribution's package of qemu-system-x86_64")
    with scratch(store.folder()) as folder:
        apt = Apt(folder, [suite], STATUS)
        tell(f"reading Debian's list of packages ({suite}; about 10 MB)")
        apt.update()
        packages = apt.packages(apt.missing(PACKAGE))
        if not packages:
            raise KernelError(f"{PACKAGE} is installed already", "is its program on the PATH?")
        tell(f"{PACKAGE} and {len(packages) - 1} others to download: {sum(one.size for one in packages) / 1e6:.0f} MB")
        if dry_run:
            return
        apt.fetch(packages, folder / "root")
        target = fetched_root()
        shutil.rmtree(target, ignore_errors=True)
        (folder / "root").rename(target)
    tell(f"unpacked: {qemu().program}")

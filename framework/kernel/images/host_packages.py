"""Packages of this host's Debian, unpacked below the cache folder: no root, and nothing is installed."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.kernel.images import store
from foliolab.framework.kernel.images.apt import Apt

STATUS: Path = Path("/var/lib/dpkg/status")
LISTS_MB: Final = 10
"""About how large a list of packages is."""


def fetch(names: Sequence[str], target: Path, instead: str, tell: Callable[[str], None], dry_run: bool = False) -> None:
    """Fetch packages with what they depend on and this host lacks.

    Args:
        names: of the packages.
        target: the folder that becomes their root; one that is there is replaced.
        instead: what to do on another system.
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
    words = " ".join(names)
    if system.get("ID") != "debian" or not suite:
        raise UsageError(f"{words} can be fetched on Debian only", instead)
    with scratch(store.folder()) as folder:
        apt = Apt(folder, [suite], STATUS)
        tell(f"reading Debian's list of packages ({suite}; about {LISTS_MB} MB)")
        apt.update()
        packages = apt.packages(apt.missing(*names))
        if not packages:
            raise KernelError(f"{words}: nothing of it is missing", "are its programs on the PATH?")
        listed = ", ".join(one.name for one in packages)
        tell(f"to download: {sum(one.size for one in packages) / 1e6:.0f} MB ({listed})")
        if dry_run:
            return
        apt.fetch(packages, folder / "root")
        shutil.rmtree(target, ignore_errors=True)
        (folder / "root").rename(target)

"""Kernel trees from Debian's packages linux-source-VERSION, unpacked in the cache folder."""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.kernel.images import store
from foliolab.framework.kernel.images.apt import Apt, Package

PREFIX: Final = "debian:"
PACKAGE: Final = "linux-source-"
UNPACKED_GB: Final = 1.7
"""About how large a tree is."""
STEP_BYTES: Final = 1 << 22

Progress = Callable[[str, int, int], None]
"""Called with what is done, how far it is, and how far it will be (0: unknown)."""


def version(name: str) -> str:
    """The version that `debian:7.3` or `linux-source-7.3` names; empty if the name is that of a folder."""
    found = re.fullmatch(rf"(?:{PREFIX}|{PACKAGE})(\d+\.\d+)", name)
    return found[1] if found and not Path(name).exists() else ""


def offer(apt: Apt, wanted: str) -> Package:
    """The package with the tree of a version.

    Raises:
        UsageError: Debian has none.
    """
    found = apt.packages([f"{PACKAGE}{wanted}"])
    if not found:
        names = apt.names(rf"^{PACKAGE}[0-9.]+$")
        have = ", ".join(sorted((name.removeprefix(PACKAGE) for name in names), key=store.version_key))
        raise UsageError(f"Debian has no tree of {wanted}", f"it has {have or 'none'}; or name a folder with a tree")
    return found[0]


def folder(package: Package) -> Path:
    """The folder of a package's tree, which `get` makes."""
    return store.folder() / "sources" / f"{package.name}-{package.version.replace(':', '_')}"


def get(apt: Apt, package: Package, progress: Progress) -> Path:
    """Download and unpack a tree; one that is there already is used. Nothing is left of what is interrupted.

    Raises:
        KernelError: that failed.
    """
    target = folder(package)
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(exist_ok=True)
        with scratch(target.parent) as fresh:
            progress(f"downloading {package.name}", 0, 0)
            apt.fetch([package], fresh / "root")
            archive = next((fresh / "root/usr/src").glob(f"{package.name}.tar*"), None)
            if archive is None:
                raise KernelError(f"{package.name} {package.version} has no tree", "name another version")
            _unpack(archive, fresh / "tree", lambda done, size: progress(f"unpacking {package.name}", done, size))
            (made,) = (fresh / "tree").iterdir()
            made.rename(target)
    except (OSError, tarfile.TarError, EOFError, ValueError) as fault:
        raise KernelError(f"{package.name} cannot be unpacked: {fault}", "is the disk full? Else try again") from fault
    return target


def remove(package: Package) -> None:
    """Remove the tree of a package."""
    shutil.rmtree(folder(package), ignore_errors=True)


def _unpack(archive: Path, into: Path, progress: Callable[[int, int], None]) -> None:
    size, told = archive.stat().st_size, 0
    with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r|*") as tree:
        tree.extraction_filter = getattr(tarfile, "data_filter", None)  # Python before 3.11.4 has none
        for member in tree:
            tree.extract(member, into)
            if file.tell() - told >= STEP_BYTES:
                told = file.tell()
                progress(told >> 20, size >> 20)

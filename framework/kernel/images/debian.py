"""Kernels and QEMU from Debian's packages.

The kernels are those "for x86-64 cloud": a fifth of the size of the others, with the same mm/ and the drivers that a
guest needs. Since 6.18 a kernel is in several packages, whose names end with its release.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.kernel.images import modules, store
from foliolab.framework.kernel.images.apt import Apt, Package
from foliolab.framework.kernel.running import options_of

SUITES: Final = ("trixie", "trixie-backports", "bookworm")
FLAVOUR: Final = "-cloud-amd64"
PREFIX: Final = "linux-image-"
LISTS_MB: Final = 19
"""About how large the lists of packages are."""
FRESH_SECONDS: Final = 86400.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Offer:
    """A kernel that Debian has.

    Attributes:
        release: of the kernel.
        packages: that it is in, without the one of its modules.
        modules: the package of its modules; None if they are in another.
    """

    release: str
    packages: tuple[Package, ...]
    modules: Package | None

    @property
    def size(self) -> int:
        """How many bytes are downloaded at most."""
        return sum(one.size for one in self.packages) + (self.modules.size if self.modules else 0)


class Debian:
    """Debian's kernels.

    Args:
        tell: says what happens, a line at a time, before it happens.

    Raises:
        KernelError: apt cannot be used here, or the lists of packages cannot be read.
    """

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.apt = Apt(store.folder() / "apt", SUITES)
        if time.time() - self.apt.updated > FRESH_SECONDS:
            tell(f"reading Debian's lists of packages ({', '.join(SUITES)}; about {LISTS_MB} MB)")
            self.apt.update()

    def releases(self) -> list[str]:
        """The releases of all kernels, by version."""
        names = self.apt.names(rf"^{PREFIX}[0-9][^ ]*{FLAVOUR}$")
        return sorted((name.removeprefix(PREFIX) for name in names), key=store.version_key)

    def offer(self, name: str) -> Offer:
        """The newest kernel of a name such as 6.12.

        Raises:
            UsageError: Debian has none.
        """
        found = [release for release in self.releases() if store.matches(release, name)]
        if not found:
            minor = dict.fromkeys(".".join(release.split(".")[:2]) for release in self.releases())
            raise UsageError(f"Debian has no kernel {name}", f"it has {', '.join(minor)}")
        release = found[-1]
        (first,) = self.apt.packages([PREFIX + release])
        others = self.apt.packages([name for name in first.depends if name.endswith(f"-{release}")])
        split = [one for one in others if one.name.startswith("linux-modules-")]
        packages = [first, *(one for one in others if one not in split)]
        return Offer(release, tuple(packages), split[0] if split else None)

    def get(self, offer: Offer) -> store.Image:
        """Download a kernel, and keep what a guest needs of it.

        Raises:
            KernelError: that failed.
        """
        with scratch(store.folder()) as folder:
            root = folder / "root"
            self.apt.fetch(offer.packages, root)
            config = _found(root, offer.release, "config")
            names = modules.needed(options_of(config) or {}) if config is not None else []
            if offer.modules is not None and names:
                self.apt.fetch([offer.modules], root)
            vmlinuz = _found(root, offer.release, "vmlinuz")
            if vmlinuz is None:
                raise KernelError(f"Debian's packages of {offer.release} have no kernel", "name another version")
            if config is None:
                self.tell(f"Debian no longer has the package with the configuration of {offer.release}: it is unknown")
            unpacked = folder / "modules"
            unpacked.mkdir()
            files = modules.unpacked(root, names, unpacked) if names else []
            first = offer.packages[0]
            return store.keep(offer.release, vmlinuz, config, files, f"Debian: {first.name} {first.version}")


def _found(root: Path, release: str, what: str) -> Path | None:
    """A file of a kernel: below /boot, or since 7.0 beside its modules."""
    paths = (root / "boot" / f"{what}-{release}", root / "usr/lib/modules" / release / what)
    return next((path for path in paths if path.is_file()), None)

"""The programs and headers that building a kernel takes: this host's, or Debian's below the cache folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.images import host_packages, store

NAME: Final = "build-tools"
"""By which `foliolab kernel get` fetches them."""
COMPILER: Final = {"gcc": "gcc", "ld": "binutils", "make": "make"}
"""Programs that are not fetched, and their packages: a compiler is needed in any case, for the agent."""
PROGRAMS: Final = {"flex": "flex", "bison": "bison", "bc": "bc"}
HEADER, HEADER_PACKAGE = "gelf.h", "libelf-dev"
INCLUDES: tuple[Path, ...] = (Path("/usr/include"), Path("/usr/local/include"))
LIBRARIES: Final = "usr/lib/x86_64-linux-gnu"
HOST_LIBRARIES: Final = (Path("/usr/lib/x86_64-linux-gnu"), Path("/lib/x86_64-linux-gnu"))


@dataclass(frozen=True)
class Tools:
    """What a build needs to find its tools.

    Attributes:
        environment: variables of the environment.
        variables: of make, as NAME=VALUE.
    """

    environment: Mapping[str, str]
    variables: tuple[str, ...] = ()


def root() -> Path:
    """The folder into which `foliolab kernel get build-tools` unpacks them."""
    return store.folder() / NAME


def tools() -> Tools:
    """The tools of this host, and fetched ones where it lacks them.

    Raises:
        KernelError: one is missing; the hint says what to install.
    """
    fetched = root()
    path = os.environ.get("PATH", os.defpath)
    if fetched.is_dir():
        path = f"{fetched / 'usr/bin'}:{path}"
    packages = {
        name: package for name, package in (COMPILER | PROGRAMS).items() if shutil.which(name, path=path) is None
    }
    own_header = any((folder / HEADER).is_file() for folder in INCLUDES)
    if not own_header and not (fetched / "usr/include" / HEADER).is_file():
        packages[HEADER] = HEADER_PACKAGE
    if packages:
        also = "" if packages.keys() & COMPILER.keys() else f", or `foliolab kernel get {NAME}`"
        raise KernelError(
            f"a kernel cannot be built here without {', '.join(packages)}",
            f"install what is missing (Debian and Ubuntu: apt install {' '.join(packages.values())}){also}",
        )
    if not fetched.is_dir():
        return Tools(MappingProxyType({"PATH": path}))
    libraries = fetched / LIBRARIES
    environment = {
        "PATH": path, "LD_LIBRARY_PATH": os.fspath(libraries),
        "BISON_PKGDATADIR": os.fspath(fetched / "usr/share/bison"),
    }  # fmt: skip
    if (m4 := fetched / "usr/bin/m4").is_file():
        environment["M4"] = os.fspath(m4)
    include = f"-I{fetched / 'usr/include'}"
    variables = () if own_header else (
        f"HOSTCFLAGS={include}", f"LIBELF_FLAGS={include}", f"HOSTLDFLAGS=-L{libraries}",
    )  # fmt: skip
    return Tools(MappingProxyType(environment), variables)


def fetch(tell: Callable[[str], None], dry_run: bool = False) -> None:
    """Fetch the tools that this host lacks; as for `host_packages.fetch`."""
    instead = "install flex, bison, bc and the headers of libelf with your distribution's packages"
    host_packages.fetch([*PROGRAMS.values(), HEADER_PACKAGE], root(), instead, tell, dry_run)
    if not dry_run:
        _complete(root() / LIBRARIES)
        tell(f"unpacked: {root()}")


def _complete(folder: Path) -> None:
    """Let a library's name for the linker lead to the host's library, if that was installed already."""
    for link in folder.glob("*.so"):
        if link.is_symlink() and not link.exists():
            there = (place / os.readlink(link) for place in HOST_LIBRARIES)
            if library := next((path for path in there if path.is_file()), None):
                link.unlink()
                link.symlink_to(library)

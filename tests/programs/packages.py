"""Debian's packages in a folder of their own, and a mount namespace in which their programs run as if installed.

Nothing of this system changes: packages are unpacked below a folder, and only this process and its children see them
in /usr and /etc (overlayfs, read-only). What the packages' scripts would do is not done, apart from the users and the
links that the programs need.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.errors import FolioLabError, KernelError
from foliolab.framework.kernel.images import host_packages
from foliolab.framework.kernel.images.apt import Apt

INSIDE: Final = "FOLIOLAB_PROGRAMS_INSIDE"
"""An environment variable that a process in the namespace has."""
MERGED: Final = ("bin", "sbin", "lib")
"""Folders that are links into /usr on this system."""
LIBRARIES: Final = "usr/lib/x86_64-linux-gnu"
ALTERNATIVES: Final = {"libblas.so.3": "blas/libblas.so.3", "liblapack.so.3": "lapack/liblapack.so.3"}
"""Links that a package's script makes, in LIBRARIES."""
COPIES: Final = {"etc/R/Renviron": "usr/lib/R/etc/Renviron.ucf"}
"""Files that a package's script copies."""
USERS: Final = ("sshd:x:922:65534::/run/sshd:/usr/sbin/nologin",)
"""Users that packages' scripts make, as lines of /etc/passwd."""
LISTED: Final = "packages"
"""The file of a root that lists its packages."""
LOCK: Final = Path("/run/foliolab")


@dataclass(frozen=True)
class Wanted:
    """What is to be fetched.

    Attributes:
        missing: packages that this system lacks, with their sizes in bytes.
        unavailable: why a program's packages cannot be had, by the program's name.
        no_packages: why no packages of Debian can be had here; empty if they can. What is installed is recorded.
    """

    missing: Mapping[str, int]
    unavailable: Mapping[str, str]
    no_packages: str = ""


def wanted(programs: Mapping[str, Iterable[str]], folder: Path) -> tuple[Apt | None, Wanted]:
    """What programs need and this system lacks.

    Args:
        programs: the packages that each needs.
        folder: for apt's own state; it is made.

    Returns:
        Debian's packages, or None if they cannot be asked for here, and what is wanted of them.
    """
    try:
        suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
        apt = Apt(folder, [suite], host_packages.STATUS)
        apt.update()
    except (OSError, FolioLabError) as fault:
        return None, Wanted({}, {}, str(fault))
    missing, unavailable = dict[str, int](), dict[str, str]()
    for name, some in programs.items():
        try:
            found = apt.packages(apt.missing(*some)) if some else []
            missing |= {one.name: one.size for one in found}
        except KernelError as fault:
            unavailable[name] = fault.what
    return apt, Wanted(missing, unavailable)


def unpacked(root: Path) -> set[str]:
    """The packages that are in a folder already."""
    path = root / LISTED
    return set(path.read_text().split()) if path.exists() else set()


def unpack(apt: Apt, names: Sequence[str], root: Path) -> None:
    """Download packages, and add them to a folder, completed by what their scripts would do."""
    fresh = root.with_name(f"{root.name}-new")
    shutil.rmtree(fresh, ignore_errors=True)
    apt.fetch(apt.packages(names), fresh)
    shutil.copytree(fresh, root, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(fresh)
    complete(root)
    (root / LISTED).write_text("\n".join(sorted({*unpacked(root), *names})))


def complete(root: Path) -> None:
    """Merge what lies beside /usr into it, and make the links and users that packages' scripts would make."""
    for name in MERGED:
        if (root / name).is_dir() and not (root / name).is_symlink():
            shutil.copytree(root / name, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(root / name)
    for name, target in ALTERNATIVES.items():
        if (root / LIBRARIES / target).exists() and not (root / LIBRARIES / name).is_symlink():
            (root / LIBRARIES / name).symlink_to(target)
    for name, source in COPIES.items():
        if (root / source).exists():
            shutil.copyfile(root / source, root / name)
    (root / "etc").mkdir(parents=True, exist_ok=True)
    (root / "etc/crontab").unlink(missing_ok=True)
    shutil.rmtree(root / "etc/cron.d", ignore_errors=True)
    known = Path("/etc/passwd").read_text("utf-8")
    more = [line for line in USERS if f"\n{line.split(':')[0]}:" not in known]
    (root / "etc/passwd").write_text("".join((known, *(f"{line}\n" for line in more))), "utf-8")


def enter(root: Path) -> None:
    """Run this script again in a mount namespace that has the packages; does nothing inside it.

    Raises:
        SystemExit: the namespace cannot be made.
    """
    if INSIDE in os.environ:
        return
    if shutil.which("unshare") is None:
        raise SystemExit("there is no unshare; install util-linux")
    environment = {**os.environ, INSIDE: str(root)}
    words = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
    os.execvpe(words[0], words, environment)


def mount(folder: Path) -> None:
    """Mount the packages, once this process is in a namespace of its own.

    /run and /var/spool are empty, apart from FolioLab's lock of the THP settings: a cron of the namespace shall not
    start this system's jobs, and its pid files shall not be taken for this system's.

    Args:
        folder: of the packages' root; it gets the mount points.
    """
    root, run = Path(os.environ[INSIDE]), folder / "run"
    run.mkdir(exist_ok=True)
    LOCK.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "tmpfs", run)
    for name in ("foliolab", "sshd", "php", "mysqld"):
        (run / name).mkdir()
    _mount("--bind", LOCK, run / "foliolab")
    _mount("--rbind", run, "/run")
    _mount("-t", "tmpfs", "tmpfs", "/var/spool")
    Path("/var/spool/cron/crontabs").mkdir(parents=True)
    for name in ("usr", "etc"):
        if (root / name).is_dir():
            _mount("-t", "overlay", "overlay", "-o", f"ro,lowerdir={root / name}:/{name}", f"/{name}")
    for name in ("/etc/cron.d", "/etc/cron.hourly"):
        if Path(name).is_dir():
            _mount("-t", "tmpfs", "tmpfs", name)


def _mount(*words: object) -> None:
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the packages cannot be mounted here: {done.stderr.strip()}")

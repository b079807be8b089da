"""Debian's apt with a root and a state of its own below the cache folder: nothing of this system is touched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError
from foliolab.framework.isolation.commands import kept

PROGRAMS: Final = ("apt-get", "apt-cache", "dpkg-deb")
KEYRINGS: Final = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{end}") for end in ("pgp", "gpg"))
MIRROR: Final = "http://deb.debian.org/debian"
SECONDS: Final = 1800.0
FOLDERS: Final = (
    "etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial",
)  # fmt: skip
PROXY: Final = re.compile(r'^Acquire::https?::Proxy(::[\w.-]+)? "[^"]*";$', re.MULTILINE)
CONFIG: Final = """Dir "{root}";
Dir::State::status "{status}";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "";
APT::Get::List-Cleanup "true";
Acquire::Languages "none";
Debug::NoLocking "true";
"""


@dataclass(frozen=True)
class Package:
    """One package of a list.

    Attributes:
        name, version: as in the list.
        size: of the file to download, in bytes.
        depends: names in its field Depends.
    """

    name: str
    version: str
    size: int
    depends: tuple[str, ...]


class Apt:
    """apt over some suites of Debian.

    Args:
        root: the folder of its state; it is made.
        suites: such as trixie-backports.
        status: dpkg's list of installed packages; /dev/null: nothing is installed.

    Raises:
        KernelError: this is no system with apt, or Debian's keys are missing.
    """

    def __init__(self, root: Path, suites: Sequence[str], status: Path = Path("/dev/null")) -> None:
        if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
            raise KernelError(
                f"kernels come from Debian's packages, and {missing[0]} is missing here",
                "use Debian or Ubuntu, or name a kernel of yours with --image",
            )
        keyring = next((path for path in KEYRINGS if path.is_file()), None)
        if keyring is None:
            raise KernelError(
                f"Debian's keys are missing, so nothing from Debian can be verified: there is no {KEYRINGS[-1]}",
                "install them: apt install debian-archive-keyring",
            )
        self.root = root
        self.suites = tuple(suites)
        for name in FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
        sources = "".join(f"deb [signed-by={keyring}] {MIRROR} {suite} main\n" for suite in suites)
        (root / "etc/apt/sources.list").write_text(sources)
        self.config = root / "apt.conf"
        self.config.write_text(CONFIG.format(root=root, status=status) + _proxies())

    def update(self) -> None:
        """Read the lists of packages anew.

        Raises:
            KernelError: they cannot be read.
        """
        self._run("apt-get", "--error-on=any", "update")

    @property
    def updated(self) -> float:
        """When the lists were read, in seconds of the epoch; 0: never, or for other suites."""
        lists = [path for path in (self.root / "var/lib/apt/lists").iterdir() if path.name.endswith("_InRelease")]
        known = {path.name.removesuffix("_InRelease").rpartition("_")[2] for path in lists}
        return min((path.stat().st_mtime for path in lists), default=0.0) if known >= {*self.suites} else 0.0

    def names(self, pattern: str) -> list[str]:
        """The names of packages that a regular expression matches."""
        lines = self._run("apt-cache", "search", "--names-only", pattern).splitlines()
        return [line.partition(" ")[0] for line in lines]

    def packages(self, names: Sequence[str]) -> list[Package]:
        """What the lists say of packages, in their order; a name that is in no list is left out."""
        found: dict[str, Package] = {}
        for stanza in self._run("apt-cache", "show", "--no-all-versions", *names, may_fail=True).split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if re.match(r"[A-Z][\w-]*: ", line))
            if {"Package", "Version", "Size"} <= fields.keys():
                depends = tuple(re.findall(r"(?:^|[,|] )([a-z0-9][a-z0-9+.-]*)", fields.get("Depends", "")))
                made = Package(fields["Package"], fields["Version"], int(fields["Size"]), depends)
                found.setdefault(made.name, made)
        return [found[name] for name in names if name in found]

    def missing(self, *names: str) -> list[str]:
        """The packages that installing some would add to those of the status file."""
        lines = self._run("apt-get", "install", "--simulate", "--no-install-recommends", *names).splitlines()
        return [line.split()[1] for line in lines if line.startswith("Inst ")]

    def fetch(self, packages: Sequence[Package], into: Path) -> None:
        """Download packages, verify them, and unpack them.

        Args:
            into: the folder that becomes their root.

        Raises:
            KernelError: that failed.
        """
        folder = into.with_name(f"{into.name}-packages")
        folder.mkdir()
        try:
            self._run("apt-get", "download", *(f"{one.name}={one.version}" for one in packages), cwd=folder)
            for path in sorted(folder.glob("*.deb")):
                self._run("dpkg-deb", "-x", os.fspath(path), os.fspath(into))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, *words: str, cwd: Path | None = None, may_fail: bool = False) -> str:
        environment = {**os.environ, "APT_CONFIG": os.fspath(self.config), "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(
                kept(words), cwd=cwd, env=environment, capture_output=True, text=True, errors="replace",
                stdin=subprocess.DEVNULL, timeout=SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise KernelError(f"{words[0]} cannot be run: {fault}", "try again") from fault
        if done.returncode and not may_fail:
            lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:", "dpkg"))]
            why = lines[0] if lines else f"exit status {done.returncode}"
            raise KernelError(f"{' '.join(words[:2])} failed: {why}", f"can {MIRROR} be reached, and is there room?")
        return done.stdout


def _proxies() -> str:
    """The proxies that this system's apt uses."""
    try:
        done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "".join(f"{found[0]}\n" for found in PROXY.finditer(done.stdout))

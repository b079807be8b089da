"""Installs the recorded programs from Debian's packages: `python tests/programs/install.py` (root).

What is there already stays as it is. A package that cannot be installed is named with the reason, and the programs
that do not need it are recorded all the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Final

PACKAGES: Final = {
    "redis-server": "redis-server",
    "redis-benchmark": "redis-tools",
    "pgbench": "postgresql postgresql-contrib",
    "gunicorn": "gunicorn",
    "bash": "bash",
    "perf": "linux-perf",
    "setpriv": "util-linux",
}
"""The commands that are needed, and the packages that have them."""


def missing(have: object = shutil.which) -> dict[str, str]:
    """The commands that are not there, with their packages."""
    assert callable(have)
    return {command: package for command, package in PACKAGES.items() if have(command) is None}


def install(packages: str) -> str:
    """Install packages; the reason if that fails, otherwise empty."""
    done = subprocess.run(
        ["apt-get", "install", "-y", "--no-install-recommends", *packages.split()],
        capture_output=True, text=True, check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )  # fmt: skip
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return (lines[-1] if lines else f"status {done.returncode}") if done.returncode else ""


def main() -> int:
    """Install what is missing; 0 if everything is there afterwards."""
    wanted = missing()
    if wanted and shutil.which("apt-get") is None:
        print(f"not Debian; install by hand: {', '.join(sorted(set(wanted.values())))}")
        return 1
    if wanted:
        subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
    failed = 0
    for package in dict.fromkeys(wanted.values()):
        reason = install(package)
        print(f"{package}: {reason or 'installed'}")
        failed += bool(reason)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

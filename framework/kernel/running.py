"""The running kernel: its release, its configuration, and the policy that models it."""

from __future__ import annotations

import gzip
import platform
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from foliolab.framework.contract.models import Models
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.plugins.registry import Registry

PROC: Path = Path("/proc")
BOOT: Path = Path("/boot")
DEFAULTS: Final = MappingProxyType({"CONFIG_MM_ID": "y", "CONFIG_PAGE_MAPCOUNT": "y"})
"""The assumed options of a kernel whose configuration cannot be read: the defaults of mm/Kconfig since 6.15."""
TRACKING: Final = ("CONFIG_MM_ID", "CONFIG_PAGE_MAPCOUNT", "CONFIG_NO_PAGE_MAPCOUNT")

_SET: Final = re.compile(r"^(CONFIG_\w+)=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Running:
    """The release and configuration of a kernel.

    Attributes:
        release: as `uname -r` prints it; empty if the host does not run Linux.
        options: the options that its configuration sets, such as CONFIG_MM_ID: "y".
        source: the file of the configuration; empty if none can be read and DEFAULTS are assumed.
    """

    release: str
    options: Mapping[str, str]
    source: str = ""

    @property
    def version(self) -> tuple[int, int]:
        """(major, minor); (0, 0) if the release does not begin with them."""
        found = re.match(r"(\d+)\.(\d+)", self.release)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def note(self) -> str:
        """The assumption that was made if the configuration cannot be read; empty otherwise."""
        if self.source or not self.release:
            return ""
        assumed = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"the configuration of {self.release} cannot be read; assumed: {assumed}"

    @property
    def described(self) -> str:
        """The release, and the options of TRACKING."""
        options = (f"{name}={self.options[name]}" for name in TRACKING if name in self.options)
        return f"Linux {self.release} ({', '.join(options) or 'no MM IDs'})"

    def behaves_as(self, models: Models) -> bool:
        """Whether this kernel is one that a policy models."""
        if self.version < models.since or (models.until is not None and self.version >= models.until):
            return False
        wanted = (option.split("=", 1) for option in models.options)
        return all(self.options.get(name, "n") == value for name, value in wanted)


@lru_cache(maxsize=1)
def read() -> Running:
    """Read the release and configuration (/proc/config.gz or /boot) of the running kernel. Raises no error."""
    if platform.system() != "Linux":
        return Running("", {})
    release = platform.release()
    for path in (PROC / "config.gz", BOOT / f"config-{release}"):
        options = _options(path)
        if options is not None:
            return Running(release, MappingProxyType(options), str(path))
    return Running(release, DEFAULTS)


def _options(path: Path) -> dict[str, str] | None:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):  # absent, unreadable, damaged
        return None
    return dict(_SET.findall(text)) or None


def matching(registry: Registry, running: Running | None = None) -> Scheme | None:
    """The first policy that declares that it models a kernel; None if no policy does.

    Args:
        registry: the policies.
        running: the kernel; None: the running one.
    """
    kernel = running or read()
    for policy in registry.policies.values():
        if policy.models is not None and kernel.behaves_as(policy.models):
            return policy.with_parameters()
    return None

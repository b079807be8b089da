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
"""What is assumed of a kernel whose configuration cannot be read: mm/Kconfig's defaults since 6.15."""
TRACKING: Final = ("CONFIG_MM_ID", "CONFIG_PAGE_MAPCOUNT", "CONFIG_NO_PAGE_MAPCOUNT")

_SET: Final = re.compile(r"^(CONFIG_\w+)=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Running:
    """A kernel.

    Attributes:
        release: as `uname -r` has it; empty where it is not Linux.
        options: the options that its configuration sets, such as CONFIG_MM_ID: "y".
        source: the file they were read from; empty where none can be read and DEFAULTS are assumed.
    """

    release: str
    options: Mapping[str, str]
    source: str = ""

    @property
    def version(self) -> tuple[int, int]:
        """(major, minor); (0, 0) where the release says neither."""
        found = re.match(r"(\d+)\.(\d+)", self.release)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def note(self) -> str:
        """What a reader should know of how the configuration came to be known; empty where it was read."""
        if self.source or not self.release:
            return ""
        assumed = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"the configuration of {self.release} cannot be read; assumed: {assumed}"

    @property
    def described(self) -> str:
        """The release and those options that decide how owners are tracked."""
        options = (f"{name}={self.options[name]}" for name in TRACKING if name in self.options)
        return f"Linux {self.release} ({', '.join(options) or 'no MM IDs'})"

    def behaves_as(self, models: Models) -> bool:
        """Whether it is among the kernels that a policy models."""
        if self.version < models.since or (models.until is not None and self.version >= models.until):
            return False
        wanted = (option.split("=", 1) for option in models.options)
        return all(self.options.get(name, "n") == value for name, value in wanted)


@lru_cache(maxsize=1)
def read() -> Running:
    """The kernel that runs here, its configuration from /proc/config.gz or /boot. Never fails."""
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
    """The policy that models a kernel, the first that declares so.

    Args:
        registry: what plugins offer.
        running: the kernel; None for the one that runs here.
    """
    kernel = running or read()
    for policy in registry.policies.values():
        if policy.models is not None and kernel.behaves_as(policy.models):
            return policy.with_parameters()
    return None

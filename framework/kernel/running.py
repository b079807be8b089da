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
TRACKING: Final = ("CONFIG_MM_ID", "CONFIG_PAGE_MAPCOUNT", "CONFIG_NO_PAGE_MAPCOUNT")

GZIP: Final = b"\x1f\x8b"
_SET: Final = re.compile(r"^(CONFIG_\w+)=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Running:
    """The release and configuration of a kernel.

    Attributes:
        release: as `uname -r` prints it; empty if the host does not run Linux.
        options: the options that its configuration sets, such as CONFIG_MM_ID: "y"; None: unknown.
        source: the file of the configuration; empty if none can be read.
    """

    release: str
    options: Mapping[str, str] | None
    source: str = ""

    @property
    def version(self) -> tuple[int, int]:
        """(major, minor); (0, 0) if the release does not begin with them."""
        found = re.match(r"(\d+)\.(\d+)", self.release)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def note(self) -> str:
        """That the configuration cannot be read; empty if it can."""
        if self.options is not None:
            return ""
        return f"the configuration of {self.release} cannot be read, so its options are unknown"

    def sets(self, option: str) -> bool | None:
        """Whether the configuration says y for an option; None: unknown."""
        return None if self.options is None else self.options.get(option) == "y"

    @property
    def tracking(self) -> str:
        """The options of TRACKING, as the configuration says."""
        if self.options is None:
            return "configuration unknown"
        return ", ".join(f"{name}={self.options[name]}" for name in TRACKING if name in self.options) or "no MM IDs"

    @property
    def described(self) -> str:
        """The release, and the options of TRACKING."""
        return f"Linux {self.release} ({self.tracking})"

    def behaves_as(self, models: Models | None) -> bool:
        """Whether this kernel is known to be one that a policy models; None: the policy models no kernel."""
        if models is None:
            return False
        return self.may_behave_as(models) and (self.options is not None or not models.options)

    def may_behave_as(self, models: Models) -> bool:
        """Whether nothing that is known of this kernel says that a policy does not model it."""
        if self.version < models.since or (models.until is not None and self.version >= models.until):
            return False
        if self.options is None:
            return True
        wanted = (option.split("=", 1) for option in models.options)
        return all(self.options.get(name, "n") == value for name, value in wanted)


@lru_cache(maxsize=1)
def read() -> Running:
    """Read the release and configuration (/proc/config.gz or /boot) of the running kernel. Raises no error."""
    if platform.system() != "Linux":
        return Running("", {})
    release = platform.release()
    for path in (PROC / "config.gz", BOOT / f"config-{release}"):
        options = options_of(path)
        if options is not None:
            return Running(release, MappingProxyType(options), str(path))
    return Running(release, None)


def options_of(path: Path) -> dict[str, str] | None:
    """The options that a configuration file sets, compressed or not; None if it cannot be read or sets none."""
    try:
        return parse_options(path.read_bytes())
    except OSError:
        return None


def parse_options(data: bytes) -> dict[str, str] | None:
    """The options that a configuration sets, as for `options_of`."""
    try:
        text = (gzip.decompress(data) if data.startswith(GZIP) else data).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):  # damaged
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
        if kernel.behaves_as(policy.models):
            return policy.with_parameters()
    return None

"""The initramfs of a guest, as a cpio archive of the format "newc" (Documentation/driver-api/early-userspace)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAGIC: Final = b"070701"
TRAILER: Final = "TRAILER!!!"
ALIGNMENT: Final = 4
ARCHIVE_ALIGNMENT: Final = 512
"""Where an archive behind another one starts."""
DIRECTORY, DEVICE, FILE = 0o040755, 0o020600, 0o100644
PROGRAM: Final = 0o100755
CONSOLE: Final = (5, 1)
"""Device number of /dev/console."""


@dataclass(frozen=True)
class Entry:
    """A file of an archive.

    Attributes:
        name: its path without the first /.
        mode: type and permissions, as in st_mode.
        data: of a regular file.
        device: major and minor number, of a device.
    """

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def initramfs(agent: bytes, modules: Sequence[bytes]) -> bytes:
    """The archive with the agent as /init, and modules as /modules/00.ko, /modules/01.ko, …"""
    entries = [Entry("dev", DIRECTORY), Entry("dev/console", DEVICE, device=CONSOLE), Entry("init", PROGRAM, agent)]
    if modules:
        entries.append(Entry("modules", DIRECTORY))
    entries += [Entry(f"modules/{number:02d}.ko", FILE, data) for number, data in enumerate(modules)]
    return archive(entries)


def archive(entries: Sequence[Entry]) -> bytes:
    """The archive of some entries; a folder comes before what is in it."""
    parts = []
    for number, entry in enumerate((*entries, Entry(TRAILER, 0)), 1):
        name = entry.name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, the file's device (2), own device (2), length of the name, checksum
        fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
        head = MAGIC + b"".join(b"%08X" % field for field in fields) + name
        parts += [_padded(head, ALIGNMENT), _padded(entry.data, ALIGNMENT)]
    return b"".join(parts)


def behind(first: bytes, second: bytes) -> bytes:
    """Two archives as one: the kernel unpacks them in order, and files of the second replace those of the first."""
    return _padded(first, ARCHIVE_ALIGNMENT) + second


def _padded(data: bytes, alignment: int) -> bytes:
    return data + bytes(-len(data) % alignment)

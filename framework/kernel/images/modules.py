"""Which modules a guest needs, in the order in which they are to be loaded."""

from __future__ import annotations

import lzma
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError

CHANNEL: Final = {"CONFIG_VIRTIO_PCI": "virtio_pci", "CONFIG_VIRTIO_CONSOLE": "virtio_console"}
"""The options that the channel to the agent needs, and the modules that they are if they are not built in."""
SWAP: Final = {"CONFIG_SWAP": "", "CONFIG_BLK_DEV_RAM": "brd"}
"""The options that swap in a guest's memory needs, and their modules. A guest without it plays the other scenarios."""
_DEPENDS: Final = re.compile(rb"\0depends=([\w,-]*)\0")


def needed(options: Mapping[str, str]) -> list[str]:
    """The modules of a kernel that a guest loads: those of the channel, and of swap if the kernel can have it.

    Raises:
        KernelError: the kernel has neither the driver nor a module of it.
    """
    if missing := [option for option in CHANNEL if options.get(option) not in ("y", "m")]:
        raise KernelError(f"the kernel is built without {' and '.join(missing)}", "a guest cannot be reached without")
    wanted = CHANNEL | SWAP if all(option in options for option in SWAP) else CHANNEL
    return [module for option, module in wanted.items() if options[option] == "m"]


def unpacked(folder: Path, names: list[str], into: Path) -> list[Path]:
    """Unpack modules and what they depend on; in the order in which they are to be loaded.

    Args:
        folder: of a kernel's modules, with all folders below it.
        names: of modules.
        into: the folder that they are unpacked to.

    Raises:
        KernelError: one is not there, or cannot be unpacked.
    """
    there = {path.name.partition(".")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    order: dict[str, Path] = {}

    def take(name: str) -> None:
        if name in order:
            return
        if name not in there:
            raise KernelError(f"the kernel's package has no module {name}", "please report it")
        data = _plain(there[name])
        found = _DEPENDS.search(b"\0" + data)
        for other in filter(None, (found[1] if found else b"").decode().split(",")):
            take(other.replace("-", "_"))
        order[name] = into / f"{name}.ko"
        order[name].write_bytes(data)

    for name in names:
        take(name)
    return [*order.values()]


def _plain(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".ko":
        return data
    if path.suffix != ".xz":
        raise KernelError(f"{path.name} is compressed in a way that is not known", "please report it")
    try:
        return lzma.decompress(data)
    except lzma.LZMAError as fault:
        raise KernelError(f"{path.name} cannot be unpacked: {fault}", "fetch it again") from fault

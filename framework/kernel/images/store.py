"""Images of kernels in the cache folder: a folder per release, with `vmlinuz`, `config`, `origin` and `modules/`.

What lies here is executed, in a guest or (QEMU) as this user, so a folder that others can write to is not used.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.isolation.scratch import remove_abandoned, scratch
from foliolab.framework.kernel.running import Running, options_of
from foliolab.framework.ownership import distrust, make_private

BUILT: Final = "built from "
"""How the origin of a kernel begins that was built here."""
RELEASE: Final = re.compile(r"[0-9]+\.[0-9]+[A-Za-z0-9.+~_-]*")
BEGINNINGS: Final = ((514, b"HdrS"), (0, b"\x7fELF"))
"""(offset, bytes) that a bzImage, or a vmlinux, has there (Documentation/arch/x86/boot.rst; ELF)."""
MODULE: Final = re.compile(r"(\d\d)-[\w-]+\.ko")


def folder() -> Path:
    """Where images are kept: $FOLIOLAB_CACHE/kernels, or `kernels` in the user's cache folder.

    Raises:
        KernelError: it cannot be made, or others can write to it.
    """
    chosen = os.environ.get("FOLIOLAB_CACHE")
    base = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("foliolab", appauthor=False))
    path = base / "kernels"
    try:
        make_private(path)
        if why := distrust(path):
            raise KernelError(f"kernels cannot be kept in {path}: {why}", "correct that, or set FOLIOLAB_CACHE")
    except OSError as fault:
        raise KernelError(
            f"kernels cannot be kept in {path}: {fault.strerror}", "set FOLIOLAB_CACHE to a folder of your own"
        ) from fault
    return path


@dataclass(frozen=True)
class Image:
    """A kernel that a guest can boot.

    Attributes:
        name: by which it is asked for: its release, the name of a file, or of a configuration (`configured`).
        vmlinuz: the kernel.
        options: what its configuration sets; None: unknown.
        modules: to be loaded in this order before anything else.
        initrd: an initramfs to put before FolioLab's own; None: none.
        origin: where it comes from, in words.
        release: of a kernel in the folder; empty if only the kernel itself can say it.
    """

    name: str
    vmlinuz: Path
    options: Mapping[str, str] | None = None
    modules: tuple[Path, ...] = ()
    initrd: Path | None = None
    origin: str = ""
    release: str = ""

    @property
    def kernel(self) -> Running:
        """Its release and options, as far as they are known before it runs."""
        return Running(self.release, self.options, str(self.vmlinuz.parent))

    @property
    def built(self) -> bool:
        """Whether it was built here (`build`)."""
        return self.origin.startswith(BUILT)

    @property
    def bytes(self) -> int:
        """How much of the disk its files take."""
        return sum(path.stat().st_size for path in (self.vmlinuz, *self.modules))


def images() -> list[Image]:
    """The images at hand, by version.

    Raises:
        KernelError: the folder cannot be used.
    """
    root = folder()
    remove_abandoned(root)
    found = [_read(path) for path in root.iterdir() if (path / "vmlinuz").is_file() and RELEASE.fullmatch(path.name)]
    return sorted(found, key=lambda image: version_key(image.name))


def image(name: str) -> Image:
    """The image of a name: a release, or the start of one such as 6.12; the newest of several.

    The end of a release means a kernel that was built here. Its start does only if there is no other kernel.

    Raises:
        KernelError: there is none.
    """
    there = images()
    found = [one for one in there if matches(one.name, name)]
    found = [one for one in found if not one.built or one.name == name] or found
    found = found or [one for one in there if one.built and one.name.endswith(f"-{name}")]
    if not found:
        have = ", ".join(one.name for one in there)
        raise KernelError(
            f"there is no kernel {name} at hand{f'; there are {have}' if have else ''}",
            f"`foliolab kernel get {name}` fetches it, if Debian has it; --image FILE names a kernel of yours",
        )
    return found[-1]


def of_file(vmlinuz: Path, initrd: Path | None = None) -> Image:
    """The image of a user's own kernel. Its configuration is known if `config` or `.config` lies beside it.

    Raises:
        UsageError: a file cannot be read, or the kernel is no kernel.
    """
    for path in (vmlinuz, initrd):
        if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
            raise UsageError(f"{path} cannot be read", "name a kernel such as arch/x86/boot/bzImage")
    with vmlinuz.open("rb") as file:
        begin = file.read(1024)
    if not any(begin[at:].startswith(magic) for at, magic in BEGINNINGS):
        raise UsageError(f"{vmlinuz} is no kernel for x86-64", "name one such as arch/x86/boot/bzImage")
    beside = (vmlinuz.with_name(name) for name in ("config", ".config", vmlinuz.name.replace("vmlinuz", "config")))
    options = next((found for path in beside if path != vmlinuz and (found := options_of(path))), None)
    return Image(vmlinuz.name, vmlinuz, options, initrd=initrd, origin=os.fspath(vmlinuz))


def matches(release: str, name: str) -> bool:
    """Whether a release is what a name such as 6.12 or 6.12.117 means."""
    return release == name or (release.startswith(name) and not release[len(name) :][:1].isdigit())


def version_key(release: str) -> tuple[int, ...]:
    """The numbers of a release, for sorting."""
    return tuple(int(number) for number in re.findall(r"\d+", release))


def keep(release: str, vmlinuz: Path, config: Path | None, modules: list[Path], origin: str) -> Image:
    """Take a kernel's files into the folder; an image of that release that is there is replaced.

    Args:
        config: its configuration; None: unknown.
        modules: in the order in which they are to be loaded, not compressed.

    Raises:
        KernelError: the files cannot be written.
    """
    root = folder()
    try:
        with scratch(root) as fresh:
            made = fresh / release
            (made / "modules").mkdir(parents=True)
            shutil.copyfile(vmlinuz, made / "vmlinuz")
            if config is not None:
                shutil.copyfile(config, made / "config")
            (made / "origin").write_text(f"{origin}\n")
            for number, path in enumerate(modules):
                shutil.copyfile(path, made / "modules" / f"{number:02d}-{path.name}")
            shutil.rmtree(root / release, ignore_errors=True)
            made.rename(root / release)
    except OSError as fault:
        where = fault.filename or root
        raise KernelError(f"{where} cannot be written: {fault.strerror}", "is the disk full?") from fault
    return _read(root / release)


def _read(path: Path) -> Image:
    there = (path / "modules").glob("*.ko")
    modules = sorted(file for file in there if MODULE.fullmatch(file.name))
    origin = path / "origin"
    return Image(
        path.name, path / "vmlinuz", options_of(path / "config"), tuple(modules),
        origin=origin.read_text(errors="replace").strip() if origin.is_file() else "", release=path.name,
    )  # fmt: skip

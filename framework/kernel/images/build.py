"""Kernels built from a tree, out of the tree, in the cache folder.

The configuration is `make allnoconfig` with the options of `guest.config` and those that the user sets. A build has a
folder of its own, which stays when it is interrupted: the same build goes on there, since make knows what is done. The
tree is only read. Its Makefile runs as this user, without the user's environment.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.isolation.commands import end, kept
from foliolab.framework.isolation.keeper import END_ALL
from foliolab.framework.kernel.images import modules, store
from foliolab.framework.kernel.images.build_tools import Tools
from foliolab.framework.kernel.running import options_of

FRAGMENT: Final = Path(__file__).with_name("guest.config")
ARCH: Final = "x86_64"
PARTS: Final = ("Makefile", "Kconfig", "arch/x86/Kconfig")
LEFTOVERS: Final = (".config", "include/config", "arch/x86/include/generated")
"""What a build inside of a tree leaves there; with it the kernel's Makefile builds nothing outside."""
OPTION: Final = re.compile(r'(CONFIG_[A-Za-z0-9_]+)=(y|n|-?\d+|0x[0-9a-fA-F]+|"[^"\\]*")')
NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")
UNQUOTED: Final = re.compile(r"[\s:]")
PLAIN: Final = "built"
"""The name of a kernel without options of the user's."""
FILES: Final = 1030
"""Files that a build compiles, about: of 7.3.4 with guest.config."""
COMPILED: Final = re.compile(r"  (?:CC|AS)(?: +\[M\])? +(\S+\.o)$")
FAILED: Final = re.compile(r"error:|Error \d|undefined reference|No rule to make|\*\*\*|not found")
NICE: Final = ("nice", "-n", "10")

Progress = Callable[[str, int, int], None]
"""Called with what is done, how far it is, and how far it will be (0: unknown)."""


@dataclass(frozen=True)
class Recipe:
    """What is built from what.

    Attributes:
        tree: the folder of the kernel's tree.
        options: of the configuration besides guest.config, such as CONFIG_NO_PAGE_MAPCOUNT: "y"; "n" is not set.
        name: what its release ends with.
        origin: the tree in words.

    Raises:
        UsageError: the name is none.
    """

    tree: Path
    options: Mapping[str, str]
    name: str
    origin: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} cannot be part of a release", "choose --name: up to 41 small letters, digits, . and -"
            )

    @property
    def fragment(self) -> str:
        """The configuration that `make allnoconfig` starts with."""
        own = {"CONFIG_LOCALVERSION": f'"-{self.name}"', **self.options}
        lines = (f"# {key} is not set" if value == "n" else f"{key}={value}" for key, value in own.items())
        kept_lines = (line for line in FRAGMENT.read_text().splitlines() if line.partition("=")[0] not in self.options)
        return "\n".join((*kept_lines, *lines, ""))

    @property
    def folder(self) -> Path:
        """The folder of the build, which goes on there if it was interrupted."""
        key = hashlib.sha256(f"{self.tree}\0{self.fragment}".encode()).hexdigest()[:12]
        return store.folder() / "builds" / f"{self.name}-{key}"


def options(written: list[str]) -> dict[str, str]:
    """The options that a user writes as CONFIG_X=y.

    Raises:
        UsageError: one is written wrong, or set twice.
    """
    found: dict[str, str] = {}
    for text in written:
        match = OPTION.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{text!r} sets no option", 'write --set CONFIG_X=y, or =n, =3, ="text"; nothing is built as a module'
            )
        if match[1] in found:
            raise UsageError(f"{match[1]} is set twice", "choose one value")
        found[match[1]] = match[2]
    return found


def name_of(chosen: Mapping[str, str]) -> str:
    """A name for a kernel with some options: no-page-mapcount for CONFIG_NO_PAGE_MAPCOUNT=y."""
    words = []
    for key, value in chosen.items():
        word = re.sub(r"[^a-z0-9]+", "-", key.removeprefix("CONFIG_").lower()).strip("-")
        tail = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
        words.append({"y": word, "n": f"without-{word}"}.get(value, f"{word}-{tail}"))
    return ".".join(words) or PLAIN


def check_tree(tree: Path) -> None:
    """Check that a kernel can be built from a tree, outside of it.

    Raises:
        UsageError: it is no tree, it is not clean, its path is none for make, or it is another user's and this is root.
    """
    if missing := [part for part in PARTS if not (tree / part).is_file()]:
        raise UsageError(f"{tree} is no tree of the kernel: it has no {missing[0]}", "name a folder, or debian:7.3")
    if UNQUOTED.search(os.fspath(tree)):
        raise UsageError(f"{tree}: the kernel's Makefile takes no path with blanks or colons", "rename the folder")
    if found := [name for name in LEFTOVERS if (tree / name).exists()]:
        raise UsageError(
            f"{tree} is not clean, so nothing can be built outside of it: it has {found[0]}",
            "`git worktree add` makes a clean copy; `make mrproper` cleans the tree, and removes its .config",
        )
    owner = tree.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise UsageError(
            f"{tree} belongs to user {owner}, and its Makefile would run as root",
            "build it as that user: nothing here needs root",
        )


class Build:
    """A build of a kernel.

    Args:
        recipe: what is built.
        tools: to build with.
        jobs: compilers at a time.
        progress: told how far the build is.
    """

    def __init__(self, recipe: Recipe, tools: Tools, jobs: int, progress: Progress) -> None:
        self.recipe = recipe
        self.tools = tools
        self.jobs = jobs
        self.progress = progress
        self.folder = recipe.folder
        self.out = self.folder / "out"
        self.log = self.folder / "log"

    @property
    def compiled(self) -> int:
        """How many files are compiled."""
        return sum(1 for _ in self.out.rglob("*.o")) if self.out.is_dir() else 0

    def run(self) -> store.Image:
        """Build the kernel and keep its image; the folder of the build is removed then.

        Raises:
            UsageError: the tree is none to build from.
            KernelError: the tree cannot have an option, or the build fails.
        """
        check_tree(self.recipe.tree)
        if UNQUOTED.search(os.fspath(self.folder)):
            raise KernelError(
                f"{self.folder}: the kernel's Makefile takes no path with blanks or colons",
                "set FOLIOLAB_CACHE to a folder without",
            )
        with self._alone():
            found = self._configured()
            self._make("bzImage")
            made = self._kept(found)
            shutil.rmtree(self.folder, ignore_errors=True)
        return made

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as fault:
            raise KernelError(f"{self.folder} cannot be written: {fault.strerror}", "is the disk full?") from fault
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise KernelError(f"another command builds in {self.folder}", "wait for it, or end it") from None
        else:
            yield
        finally:
            os.close(lock)

    def _configured(self) -> dict[str, str]:
        """Configure the kernel; its options.

        Raises:
            KernelError: the tree cannot have an option, or a guest could not be reached.
        """
        (self.folder / "fragment").write_text(self.recipe.fragment)
        self.progress("configuring", 0, 0)
        self._make("allnoconfig")
        found = options_of(self.out / ".config") or {}
        for key, value in self.recipe.options.items():
            if (has := found.get(key, "n")) != value:
                shutil.rmtree(self.folder, ignore_errors=True)
                raise KernelError(
                    f"{self.recipe.tree} has no {key}={value} in this configuration: it is {has}",
                    "what the option depends on is in its Kconfig; set that as well",
                )
        modules.needed(found)
        return found

    def _kept(self, found: Mapping[str, str]) -> store.Image:
        kernel, release = self.out / "arch/x86/boot/bzImage", self.out / "include/config/kernel.release"
        try:
            name = release.read_text().strip()
        except OSError:
            name = ""
        if not kernel.is_file() or not store.RELEASE.fullmatch(name):
            raise KernelError(f"the build left no kernel in {self.out}", f"its log is {self.log}")
        chosen = "".join(f", {key}={value}" for key, value in self.recipe.options.items())
        return store.keep(name, kernel, self.out / ".config", [], f"{store.BUILT}{self.recipe.origin}{chosen}")

    def _make(self, target: str) -> None:
        """Run make, and tell how far it is.

        Raises:
            KernelError: it failed.
        """
        words = [
            *NICE, "make", f"-j{self.jobs}", "-C", os.fspath(self.recipe.tree), f"O={self.out}", f"ARCH={ARCH}",
            "LOCALVERSION=", *self.tools.variables, target,
        ]  # fmt: skip
        environment = {
            "HOME": os.fspath(self.folder), "LC_ALL": "C", "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1",
            "KBUILD_BUILD_USER": "foliolab", "KBUILD_BUILD_HOST": "foliolab",
            "KCONFIG_ALLCONFIG": os.fspath(self.folder / "fragment"), **self.tools.environment,
        }  # fmt: skip
        done = self.compiled
        first = last = ""
        with self.log.open("a", buffering=1) as log:
            try:
                process = subprocess.Popen(
                    kept(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    text=True, errors="replace", env=environment, cwd=self.folder,
                )  # fmt: skip
            except OSError as fault:
                raise KernelError(f"make cannot be started: {fault.strerror}", "try again") from fault
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    log.write(line)
                    last = line.strip() or last
                    if COMPILED.match(line.rstrip()):
                        done += 1
                        self.progress("compiling", done, max(FILES, done))
                    elif FAILED.search(line):
                        first = first or line.strip()
                process.wait()
            finally:
                with suppress(ProcessLookupError):
                    process.send_signal(END_ALL)
                end(process, 10.0)
        if process.returncode:
            raise KernelError(f"make {target} failed: {first or last}", f"its log is {self.log}")

"""A kernel tree as a policy: `tree:PATH[@REVISION][:OPTION=y,…]`.

Options are those of the kernel's configuration, without CONFIG_; they come from the tree's `.config` where it has one.
The option `patch=FILE` applies a diff to a copy of the files that are read.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from foliolab.framework.csource import kernel
from foliolab.framework.csource.kernel import Configuration
from foliolab.framework.csource.name import TREE, policy_name
from foliolab.framework.document import write_atomically
from foliolab.framework.errors import CSourceError, UsageError
from foliolab.framework.machine import cache

LARGEST: Final = 4 << 20
"""Bytes of a file of the kernel, at most."""
OPTIONS: Final = ("MM_ID", "PAGE_MAPCOUNT", "NO_PAGE_MAPCOUNT", "patch")
_OPTION: Final = re.compile(r"\w+=[^=]*")
CHOICE: Final = "choose MM_ID=y (page mapcounts), MM_ID=y,NO_PAGE_MAPCOUNT=y, or MM_ID=n"


@dataclass(frozen=True)
class Tree:
    """A kernel tree, as a user writes it.

    Args:
        path: its folder, absolute.
        revision: a revision of its git repository; empty for the files as they are.
        options: the options that are given, by name.
    """

    path: str
    revision: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Tree:
        """The tree that a text names.

        Raises:
            UsageError: the text is not of this form, there is no such folder, or an option is unknown.
        """
        rest = text.removeprefix(TREE)
        path, colon, chosen = rest.rpartition(":")
        if not colon or not all(_OPTION.fullmatch(one.strip()) for one in chosen.split(",")):
            path, chosen = rest, ""
        revision = ""
        if not os.path.isdir(os.path.expanduser(path)):
            path, _, revision = path.rpartition("@")
        folder = os.path.abspath(os.path.expanduser(path))
        if not path or not os.path.isdir(folder):
            raise UsageError(
                f"{text}: there is no folder {path or rest}",
                "write tree:PATH, tree:PATH@REVISION or tree:PATH:OPTION=y",
            )
        return cls(folder, revision, tuple(_option(one, text) for one in chosen.split(",")) if chosen else ())

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        options = ",".join(f"{name}={value}" for name, value in self.options)
        return f"{TREE}{self.path}{revision}{f':{options}' if options else ''}"

    @property
    def name(self) -> str:
        """The name of the policy: the folder, the revision, the options and the patch."""
        words = [Path(self.path).name, self.revision]
        words += [
            Path(value).stem if name == "patch" else name if value == "y" else f"no {name}"
            for name, value in self.options
        ]
        return policy_name(Path(" ".join(words).replace("/", " ").replace(".", "-")))

    # -- files ---------------------------------------------------------------------------------------
    def files(self) -> dict[str, str]:
        """The text of each file that the functions are in.

        Raises:
            CSourceError: the tree is none of Linux, the revision cannot be read, or the patch does not apply.
        """
        read = self._of_revision if self.revision else self._of_folder
        found = {name: text for name in kernel.FILES if (text := read(name)) is not None}
        if kernel.TYPES not in found:
            raise CSourceError(f"{self} has no {kernel.TYPES}", "name the folder of a kernel tree")
        patch = dict(self.options).get("patch")
        return _patched(found, patch) if patch else found

    def _of_folder(self, name: str) -> str | None:
        file = Path(self.path) / name
        try:
            return file.read_bytes()[: LARGEST + 1].decode(errors="replace") if file.is_file() else None
        except OSError as fault:
            raise CSourceError(f"{file} cannot be read: {fault.strerror}", "correct its permissions") from fault

    def _of_revision(self, name: str) -> str | None:
        command = ["git", "-C", self.path, "show", f"{self.revision}:{name}"]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise CSourceError(f"git cannot be run: {fault}", "install git, or check the revision out") from fault
        said = done.stderr.decode(errors="replace").strip()
        if done.returncode and "does not exist in" not in said and "exists on disk, but not in" not in said:
            raise CSourceError(
                f"{self.path}: git cannot show {self.revision}: {said[:200]}", "name a revision of the tree"
            )
        return None if done.returncode else done.stdout.decode(errors="replace")

    # -- configuration -------------------------------------------------------------------------------
    def configuration(self, files: Mapping[str, str]) -> Configuration:
        """The options that are given, or those of the tree's .config.

        Raises:
            CSourceError: the tree knows CONFIG_MM_ID, and nothing says whether it is set.
        """
        if "CONFIG_MM_ID" not in files[kernel.TYPES]:
            return Configuration(None, True)
        given = {name: value == "y" for name, value in self.options if name != "patch"}
        if not given:
            given = self._of_config()
        if "MM_ID" not in given and "NO_PAGE_MAPCOUNT" not in given:
            raise CSourceError(
                f"{self} has no .config, and no option says how it is configured",
                f"{CHOICE}, as in {TREE}{self.path}:MM_ID=y",
            )
        without = given.get("NO_PAGE_MAPCOUNT", not given.get("PAGE_MAPCOUNT", True))
        return Configuration(given.get("MM_ID", without), not without)

    def _of_config(self) -> dict[str, bool]:
        file = Path(self.path) / ".config"
        if self.revision or not file.is_file():
            return {}
        text = file.read_text(errors="replace")
        return {name: f"CONFIG_{name}=y\n" in f"{text}\n" for name in ("MM_ID", "NO_PAGE_MAPCOUNT")}

    # -- the policy ----------------------------------------------------------------------------------
    def translated(self) -> str:
        """The text of the tree's policy. Raises as `files`, `configuration` and `kernel.translated`."""
        files = self.files()
        names = (
            self._kept(files)
            if self.revision or "patch" in dict(self.options)
            else {name: str(Path(self.path) / name) for name in files}
        )
        return kernel.translated(
            files,
            names,
            self.configuration(files),
            (self.name, f"the C text of {Path(self.path).name}{f' at {self.revision}' if self.revision else ''}"),
        )

    def _kept(self, files: Mapping[str, str]) -> dict[str, str]:
        """Copies of files that lie in no folder, so that their lines can be shown."""
        whole = sha256("".join(f"{name}\0{text}\0" for name, text in files.items()).encode()).hexdigest()[:12]
        folder = cache.folder() / "trees" / f"{self.name}-{whole}"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / name, text.encode())
        return {name: str(folder / name) for name in files}


def _option(text: str, whole: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in text.partition("="))
    name = name.removeprefix("CONFIG_")
    if name not in OPTIONS or (name != "patch" and value not in ("y", "n")):
        raise UsageError(f"{whole}: {text.strip()} is no option", f"{CHOICE}; patch=FILE applies a diff")
    return name, os.path.abspath(os.path.expanduser(value)) if name == "patch" else value


def _patched(files: Mapping[str, str], patch: str) -> dict[str, str]:
    """The files with a diff applied: the parts of it that change one of them.

    Raises:
        CSourceError: the diff cannot be read, does not apply, or changes none of the files.
    """
    with tempfile.TemporaryDirectory(prefix="foliolab-") as folder:
        for name, text in files.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(text)
        include = [f"--include={name}" for name in kernel.FILES]
        try:
            done = subprocess.run(
                ["git", "apply", *include, "--exclude=*", os.path.abspath(patch)],
                cwd=folder, capture_output=True, check=False, timeout=60,
                env=os.environ | {"GIT_CEILING_DIRECTORIES": str(Path(folder).parent)},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise CSourceError(f"git cannot be run: {fault}", "install git, or apply the patch yourself") from fault
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().replace("\n", "; ")
            raise CSourceError(
                f"the patch {patch} does not apply: {said[:300]}",
                "name a diff of this tree, such as git format-patch writes",
            )
        changed = {name: (Path(folder) / name).read_text() for name in kernel.FILES if (Path(folder) / name).is_file()}
    if changed == dict(files):
        raise CSourceError(f"the patch {patch} changes no file that is read", f"these are {', '.join(kernel.FILES)}")
    return changed

"""A kernel tree as a policy: `tree:PATH[@REVISION][:OPTION=y,…]`.

Options are those of the kernel's configuration, without CONFIG_; they come from the tree's `.config` where it has one.
The option `patch=FILE` applies a diff to a copy of the files that are read; `build=FOLDER` names what `make O=FOLDER`
made of the tree, and so says how it is configured.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from foliolab.framework import intake
from foliolab.framework.csource import kernel, kernelentries
from foliolab.framework.csource.git import git, said
from foliolab.framework.csource.kbuild import AUTOCONF, KernelBuild
from foliolab.framework.csource.kernel import Configuration
from foliolab.framework.csource.name import TREE, policy_name
from foliolab.framework.document import write_atomically
from foliolab.framework.errors import CSourceError, UsageError
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.machine import cache

LARGEST: Final = 4 << 20
"""Bytes of a file of the kernel, at most."""
CONFIG: Final = ".config"
MOST_REFERENCES: Final = 200
"""Folders of references that are looked at."""
OPTIONS: Final = ("MM_ID", "PAGE_MAPCOUNT", "NO_PAGE_MAPCOUNT")
PATHS: Final = ("patch", "build")
"""The options that name a file or a folder."""
NO_BUILD: Final = "none"
"""The build that says: compile extracted functions, though the tree is configured."""
_NO_TEXT: Final = re.compile(rb"^(GIT binary patch|(new (file )?mode|index .*) 120000)\r?$", re.MULTILINE)
"""The lines of a diff that make git unpack data of any size, or a link to a file outside of the tree."""
_OPTION: Final = re.compile(r"\w+=[^=]*")
KNOWN: Final = "CONFIG_MM_ID"
"""What trees have that know the options: Linux from 6.15 on."""
NO_OPTIONS: Final = f"this tree has no {KNOWN}, as Linux up to 6.14, so that there is nothing to choose"
LEAVE_OUT: Final = "leave the options out"
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
            UsageError: the text is not of this form, there is no such folder, an option is unknown or contradicts
                another, or the tree has no such option.
        """
        rest = text.removeprefix(TREE)
        path, revision, chosen = _divided(rest)
        folder = os.path.abspath(os.path.expanduser(path))
        if not path or not os.path.isdir(folder):
            raise UsageError(
                f"{text}: there is no folder {path or rest}" if rest else f"{text} names no folder",
                "write tree:PATH, tree:PATH@REVISION or tree:PATH:OPTION=y",
            )
        tree = cls(folder, revision, () if chosen is None else _options(chosen, text))
        if chosen is not None and not tree.has_options():
            raise UsageError(f"{text}: {NO_OPTIONS}", LEAVE_OUT)
        return tree

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        options = ",".join(f"{name}={value}" for name, value in self.options)
        return f"{TREE}{self.path}{revision}{f':{options}' if options else ''}"

    @property
    def name(self) -> str:
        """The name of the policy: the folder, the revision, the options and the patch."""
        words = [Path(self.path).name, self.revision]
        words += [
            Path(value).stem if name in PATHS else name if value == "y" else f"no {name}"
            for name, value in self.options
        ]
        return policy_name(Path(" ".join(words).replace("/", " ").replace(".", "-")))

    # -- files ---------------------------------------------------------------------------------------
    def files(self) -> dict[str, str]:
        """The text of each file that the functions are in.

        Raises:
            CSourceError: the tree is none of Linux, the revision cannot be read, or the patch does not apply.
        """
        found = self._of_revision() if self.revision else _of_folder(Path(self.path))
        if kernel.TYPES not in found:
            raise CSourceError(f"{self} has no {kernel.TYPES}", "name the folder of a kernel tree")
        patch = dict(self.options).get("patch")
        return _patched(found, patch) if patch else found

    def _of_revision(self) -> dict[str, str]:
        """The files of the revision. git gets every name by its standard input, where none is an option."""
        asked = [f"{self.revision}^{{tree}}", *(f"{self.revision}:{name}" for name in kernel.FILES)]
        given = "".join(f"{one}\n" for one in asked).encode(errors="surrogateescape")
        done = git(self.path, ["cat-file", "--batch-check=%(objecttype) %(objectname) %(objectsize)"], given)
        kinds = [line.split(" ") for line in done.stdout.decode(errors="replace").splitlines()]
        if done.returncode or len(kinds) != len(asked) or kinds[0][0] != "tree":
            raise CSourceError(
                f"{self.path}: git cannot show {self.revision}: {said(done) or 'there is no such revision'}",
                "name a revision of the tree",
            )
        blobs = {name: kind for name, kind in zip(kernel.FILES, kinds[1:], strict=True) if kind[0] == "blob"}
        for name, (_, _, size) in blobs.items():
            if int(size) > LARGEST:
                raise CSourceError(
                    f"{self}: {name} is larger than {intake.size_text(LARGEST)}", "name the folder of a kernel tree"
                )
        return {name: self._blob(number) for name, (_, number, _) in blobs.items()}

    def _blob(self, number: str) -> str:
        """The text of an object of the repository."""
        done = git(self.path, ["cat-file", "blob", number], b"")
        if done.returncode:
            raise CSourceError(f"{self.path}: git cannot show {number}: {said(done)}", "repair the repository")
        return done.stdout.decode(errors="replace")

    # -- what it depends on ----------------------------------------------------------------------------
    @property
    def inputs(self) -> list[Path]:
        """The files that the policy's text depends on, but for those of a revision; some may be absent."""
        own = [] if self.revision else [Path(self.path) / name for name in (*kernel.FILES, CONFIG)]
        own += [self._named_build / AUTOCONF] if self._named_build else []
        return own + [Path(value) for name, value in self.options if name == "patch"]

    def commit(self) -> str:
        """The object that the revision is now; empty without a revision, or if it cannot be found."""
        return self._said(["cat-file", "--batch-check"], f"{self.revision}^{{tree}}\n") if self.revision else ""

    def references(self) -> list[Path]:
        """The folders of the repository that change when the revision may have moved; none without a revision."""
        if not self.revision:
            return []
        folders = self._said(["rev-parse", "--git-common-dir", "--absolute-git-dir"], "").splitlines()
        own = [Path(self.path) / one for one in folders]
        return own + [Path(folder) for one in own for folder, _, _ in os.walk(one / "refs")][:MOST_REFERENCES]

    def _said(self, words: list[str], given: str) -> str:
        """What git writes; empty if it fails."""
        try:
            done = git(self.path, words, given.encode(errors="surrogateescape"))
        except CSourceError:
            return ""
        return "" if done.returncode else done.stdout.decode(errors="surrogateescape")

    # -- configuration -------------------------------------------------------------------------------
    def has_options(self) -> bool:
        """Whether the tree knows the options that are given, as far as that is seen without the patch."""
        names = {name for name, _ in self.options if name not in PATHS}
        if "patch" in dict(self.options) or not names:
            return True
        if self.revision:
            text = self._said(["cat-file", "blob", f"{self.revision}:{kernel.TYPES}"], "")
        else:
            file = Path(self.path) / kernel.TYPES
            text = _read(file) if file.is_file() else ""
        return not text or KNOWN in text  # without a text, `files` says what is wrong

    def configuration(self, files: Mapping[str, str]) -> Configuration:
        """The options that are given, or those of the tree's .config.

        Raises:
            CSourceError: the tree knows CONFIG_MM_ID, and nothing says whether it is set; or it does not, and something
                says so; or the build that is named is none, or says otherwise.
        """
        given = {name: value == "y" for name, value in self.options if name not in PATHS}
        if KNOWN not in files[kernel.TYPES]:
            if given:
                raise CSourceError(f"{self}: {NO_OPTIONS}", LEAVE_OUT)
            return Configuration(None, True)
        named = self._named_build
        if not given:
            given = self._of_config() if named is None else self._built_in(named).given
        if "MM_ID" not in given and "NO_PAGE_MAPCOUNT" not in given:
            raise CSourceError(
                f"{self} has no .config, and no option says how it is configured",
                f"{CHOICE}, as in {TREE}{self.path}:MM_ID=y",
            )
        without = given.get("NO_PAGE_MAPCOUNT", not given.get("PAGE_MAPCOUNT", True))
        chosen = Configuration(given.get("MM_ID", without), not without)
        if named is not None:
            self._check_agrees(self._built_in(named), chosen)
        return chosen

    def _of_config(self) -> dict[str, bool]:
        file = Path(self.path) / CONFIG
        if self.revision or not file.is_file():
            return {}
        text = _read(file)
        return {name: f"CONFIG_{name}=y\n" in f"{text}\n" for name in ("MM_ID", "NO_PAGE_MAPCOUNT")}

    # -- builds --------------------------------------------------------------------------------------
    @property
    def _named_build(self) -> Path | None:
        """The folder of the build that is named."""
        named = dict(self.options).get("build", NO_BUILD)
        return None if named == NO_BUILD else Path(named)

    @property
    def names_a_build(self) -> bool:
        """Whether the user names the build."""
        return self._named_build is not None

    def build(self) -> KernelBuild | None:
        """What kbuild made of these files: the build that is named, or the tree itself where it is configured.

        Raises:
            CSourceError: the build that is named is none, or is configured otherwise than the options say.
        """
        if self._named_build is not None and self.revision:
            raise CSourceError(f"{self}: a build is of the files in a folder, not of a revision", "name one of the two")
        found = self._built_in(self._named_build or Path(self.path))
        if self._named_build is None and (self.revision or "build" in dict(self.options) or not found.is_there):
            return None
        found.check()
        wanted = self.configuration(self.files())
        if wanted.mm_id is not None:
            self._check_agrees(found, wanted)
        return found

    def _built_in(self, folder: Path) -> KernelBuild:
        return KernelBuild(folder, Path(self.path))

    def _check_agrees(self, build: KernelBuild, wanted: Configuration) -> None:
        """Raises as `build`."""
        if wanted != build.configuration:
            raise CSourceError(
                f"{self}: {build.folder} is configured otherwise: {build.configuration}, not {wanted}",
                "leave the options out: the build says how it is configured",
            )

    # -- the policy ----------------------------------------------------------------------------------
    def translated(self) -> str:
        """The text of the tree's policy. Raises as `files`, `configuration` and `kernel.translated`."""
        files = self.files()
        return kernel.translated(
            files,
            self._names(files),
            self.configuration(files),
            (self.name, f"the C text of {Path(self.path).name}{f' at {self.revision}' if self.revision else ''}"),
        )

    def compiler_text(self) -> str:
        """The tree's functions as the system's compiler gets them. Raises as `translated`."""
        files = self.files()
        return kernelentries.compiler_text(files, self._names(files), self.configuration(files))

    def whole_entries(self) -> str:
        """The engine's entries for the whole mm/rmap.c. Raises as `translated`."""
        files = self.files()
        return kernelentries.whole_entries(files, self._names(files), self.configuration(files))

    def names(self) -> dict[str, str]:
        """The file that each text is in: the tree's, or a copy of a revision or with a patch. Raises as `files`."""
        return self._names(self.files())

    def _names(self, files: Mapping[str, str]) -> dict[str, str]:
        """The name under which each file's lines can be shown."""
        if self.revision or "patch" in dict(self.options):
            return self._kept(files)
        return {name: str(Path(self.path) / name) for name in files}

    def _kept(self, files: Mapping[str, str]) -> dict[str, str]:
        """Copies of files that lie in no folder, so that their lines can be shown."""
        whole = sha256("".join(f"{name}\0{text}\0" for name, text in files.items()).encode()).hexdigest()[:12]
        folder = cache.folder() / "trees" / f"{self.name}-{whole}"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / name, text.encode())
        return {name: str(folder / name) for name in files}


def _divided(rest: str) -> tuple[str, str, str | None]:
    """The path, the revision and the options of what stands behind `tree:`; no options without a colon.

    A path may have colons, and so may the file of a patch: the longest beginning that names a folder is the path.
    """
    ends = [len(rest), *(at for at in range(len(rest) - 1, -1, -1) if rest[at] == ":")]
    for end in ends:
        chosen = rest[end + 1 :] if end < len(rest) else None
        path, at, revision = rest[:end].rpartition("@")
        if os.path.isdir(os.path.expanduser(rest[:end])):
            return rest[:end], "", chosen
        if at and ":" not in revision and os.path.isdir(os.path.expanduser(path)):
            return path, revision, chosen
    path, colon, chosen = rest.rpartition(":")
    return (path if colon and _OPTION.match(chosen) else rest), "", None


def _options(chosen: str, whole: str) -> tuple[tuple[str, str], ...]:
    """The options of a text that are separated by commas.

    Raises:
        UsageError: one is none, there is none, or they contradict each other.
    """
    if not chosen.strip():
        raise UsageError(f"{whole}: there is no option behind the colon", CHOICE)
    options = tuple(_option(one, whole) for one in chosen.split(","))
    given = dict(options)
    if len(given) < len(options):
        raise UsageError(f"{whole}: an option is there twice", CHOICE)
    without = given.get("NO_PAGE_MAPCOUNT", {"y": "n", "n": "y"}.get(given.get("PAGE_MAPCOUNT", ""), ""))
    if (without and without == given.get("PAGE_MAPCOUNT")) or (without == "y" and given.get("MM_ID") == "n"):
        raise UsageError(f"{whole}: no kernel can be configured so", CHOICE)
    return options


def _option(text: str, whole: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in text.partition("="))
    name = name.removeprefix("CONFIG_")
    if not text.strip():
        raise UsageError(f"{whole}: an option is missing between commas, or before or behind one", CHOICE)
    if not (name in PATHS and value) and not (name in OPTIONS and value in ("y", "n")):
        raise UsageError(
            f"{whole}: {text.strip()} is no option", f"{CHOICE}; patch=FILE applies a diff, build=FOLDER is of make O="
        )
    if name not in PATHS or (name, value) == ("build", NO_BUILD):
        return name, value
    path = os.path.abspath(os.path.expanduser(value))
    if name == "build" and not os.path.isdir(path):
        raise UsageError(f"{whole}: there is no folder {value}", "name what `make O=FOLDER` wrote")
    return name, path


def _of_folder(folder: Path) -> dict[str, str]:
    """The texts of the files that a translation reads, by name, as they are in a folder."""
    return {name: _read(folder / name) for name in kernel.FILES if (folder / name).is_file()}


def _read(file: Path) -> str:
    hint = "name the folder of a kernel tree"
    return intake.read(file, "file of a kernel tree", hint, LARGEST, CSourceError).decode(errors="replace")


def _patched(files: Mapping[str, str], patch: str) -> dict[str, str]:
    """The files with a diff applied: the parts of it that change one of them.

    Raises:
        CSourceError: the diff cannot be read, does not apply, makes a file that is no text, or changes none of them.
    """
    diff = intake.read(patch, "patch", "name a diff of this tree", LARGEST, CSourceError)
    if _NO_TEXT.search(diff):
        raise CSourceError(
            f"the patch {patch} has a binary file or a symbolic link", "leave it out: only C text is read"
        )
    with scratch() as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        words = ["apply", *(f"--include={name}" for name in kernel.FILES), "--exclude=*", "-"]
        done = git(folder, words, diff, GIT_CEILING_DIRECTORIES=str(folder.parent))
        if done.returncode:
            raise CSourceError(
                f"the patch {patch} does not apply: {said(done)}",
                "name a diff of this tree, such as git format-patch writes",
            )
        changed = _of_folder(folder)
    if changed == dict(files):
        raise CSourceError(f"the patch {patch} changes no file that is read", f"these are {', '.join(kernel.FILES)}")
    return changed

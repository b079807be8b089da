"""A watched policy: a Python or C file, or a kernel tree."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab.framework.csource.name import TREE
from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.csource.tree import Tree

SUFFIXES: Final = (".py", ".c")


@dataclass(frozen=True)
class Watched:
    """What a policy is made of, and whether it has changed.

    Args:
        name: the absolute path of a file, or `tree:PATH…`, as `--plugin` takes it.
        tree: the kernel tree; it may be gone meanwhile.
    """

    name: str
    tree: Tree | None = None

    @classmethod
    def of(cls, written: str | Path) -> Watched:
        """The policy that a user names.

        Raises:
            UsageError: the name cannot be understood, or there is no such tree.
        """
        text = str(written)
        if not text.startswith(TREE):
            try:
                return cls(str(Path(text).expanduser().resolve()))
            except (OSError, RuntimeError, ValueError) as fault:  # a circle of links, or a zero byte
                raise UsageError(f"{text} cannot be found: {fault}", "name an existing file") from fault
        from foliolab.framework.csource.tree import Tree  # few windows show one

        tree = Tree.parse(text)
        return cls(str(tree), tree)

    @property
    def is_c(self) -> bool:
        """Whether it is C text, which has to be translated."""
        return self.tree is not None or self.name.endswith(".c")

    def check(self) -> None:
        """Refuse what is no policy file.

        Raises:
            UsageError: the file does not exist, or is neither Python nor C.
        """
        path = Path(self.name)
        if self.tree is None and not (path.is_file() and path.suffix in SUFFIXES):
            raise UsageError(f"{self.name} is not a policy file", "name an existing Python or C file (*.py, *.c)")

    def paths(self) -> set[str]:
        """The files to watch and their folders, because many editors replace a file instead of writing to it."""
        files = [Path(self.name)] if self.tree is None else self.tree.inputs
        folders = {file.parent for file in files}
        if self.tree is not None:
            folders |= {Path(self.tree.path), Path(self.tree.path).parent, *self.tree.references()}
        return {str(path) for path in (*files, *folders)}

    def stamp(self) -> str:
        """A text that changes with what the policy is made of."""
        whole = sha256()
        for file in [Path(self.name)] if self.tree is None else self.tree.inputs:
            try:
                whole.update(b"\1" + sha256(file.read_bytes()).digest())
            except OSError:
                whole.update(b"\0")
        if self.tree is not None:
            whole.update(self.tree.commit().encode(errors="surrogateescape"))
        return whole.hexdigest()


def is_present(name: str) -> bool:
    """Whether there is the file, or the kernel tree, of this name."""
    try:
        Watched.of(name).check()
    except (UsageError, OSError):  # a stored name may be anything
        return False
    return True


def short_name(name: str) -> str:
    """A policy file without its folder, or the name of a kernel tree's policy, for a line of text."""
    if not name.startswith(TREE):
        return Path(name).name
    try:
        tree = Watched.of(name).tree
    except UsageError:  # the folder has gone
        tree = None
    return tree.name if tree is not None else Path(name.removeprefix(TREE).partition(":")[0]).name

"""What is meant by a folder or file of a kernel tree that somebody opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.csource import choices, kernel
from foliolab.framework.csource.tree import Tree
from foliolab.framework.errors import UsageError

PATCHES: Final = (".patch", ".diff")


@dataclass(frozen=True)
class Wanted:
    """A kernel tree, as far as it is known.

    Args:
        folder: of the tree; empty if it is not known.
        patch: a diff to apply to it; empty for none.
        written: the tree as `tree:PATH`, if there is nothing to choose; else empty.
    """

    folder: str
    patch: str = ""
    written: str = ""


def belongs_to_tree(path: Path) -> bool:
    """Whether a path is that of a kernel tree or of a part of one, and no policy by itself."""
    return path.is_dir() or path.suffix in (".h", *PATCHES) or (path.suffix == ".c" and choices.is_read(path))


def wanted(path: Path) -> Wanted:
    """The kernel tree that a path belongs to.

    Raises:
        UsageError: it belongs to none.
    """
    if not path.exists():
        raise UsageError(f"there is no file {path}", "name an existing file or folder")
    folder = choices.tree_around(path)
    if path.suffix in PATCHES and path.is_file():
        return Wanted("" if folder is None else str(folder), str(path.absolute()))
    if folder is None:
        raise UsageError(f"{path} lies in no kernel tree", f"a kernel tree has {kernel.TYPES}")
    if path.is_file() and not choices.is_read(path):
        raise UsageError(f"{path} is not read from a kernel tree", f"these are {', '.join(kernel.FILES)}")
    tree = Tree(str(folder))
    nothing_to_choose = not choices.revisions(folder) and choices.is_configured(tree)
    return Wanted(str(folder), written=str(tree) if nothing_to_choose else "")

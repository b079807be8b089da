"""What there is to choose about a kernel tree: its folder, its revision and its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from foliolab.framework.csource import kernel
from foliolab.framework.csource.git import git
from foliolab.framework.csource.tree import Tree
from foliolab.framework.errors import CSourceError

Options = tuple[tuple[str, str], ...]
CONFIGURATIONS: Final[tuple[tuple[str, Options], ...]] = (
    ("with MM IDs and page mapcounts", (("MM_ID", "y"),)),
    ("with MM IDs, without page mapcounts", (("MM_ID", "y"), ("NO_PAGE_MAPCOUNT", "y"))),
    ("without MM IDs", (("MM_ID", "n"),)),
)
"""The three configurations that matter from Linux 6.15 on, and the options that say so."""
MOST_REVISIONS: Final = 200


def tree_around(path: Path) -> Path | None:
    """The folder of the kernel tree that a file or folder lies in, or is; None if there is none."""
    absolute = path.expanduser().absolute()
    return next((one for one in (absolute, *absolute.parents) if (one / kernel.TYPES).is_file()), None)


def is_read(path: Path) -> bool:
    """Whether a file is one of those that are read from the kernel tree that it lies in."""
    tree = tree_around(path)
    return tree is not None and path.expanduser().absolute().relative_to(tree).as_posix() in kernel.FILES


def revisions(folder: Path) -> list[str]:
    """The branches and tags of a tree's git repository, the newest first; none if it has no repository."""
    if not (folder / ".git").exists():
        return []
    words = [
        "for-each-ref", f"--count={MOST_REVISIONS}", "--sort=-creatordate", "--format=%(refname:short)", "refs/heads",
        "refs/tags",
    ]  # fmt: skip
    try:
        done = git(folder, words, b"")
    except CSourceError:
        return []
    return done.stdout.decode(errors="replace").split()


def is_configured(tree: Tree) -> bool:
    """Whether the tree itself says how it is configured, or needs no configuration; False if it cannot be read."""
    try:
        tree.configuration(tree.files())
    except CSourceError:
        return False
    return True

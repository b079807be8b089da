"""git for the files of a tree and for diffs. The tree may be anybody's: nothing that its configuration names is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from foliolab.framework.errors import CSourceError

SECONDS: Final = 60
OF_A_REPOSITORY: Final = frozenset(
    {
        "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX",
    }
)  # fmt: skip
"""The variables that name a repository, as git sets them for its hooks: the folder alone says which one is meant."""
NO_FETCH: Final = {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1"}
"""A partial clone would fetch missing objects, by a command that its configuration may name."""


def git(folder: str | Path, words: Sequence[str], given: bytes, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder.

    Args:
        given: its standard input.
        variables: of its environment.

    Raises:
        CSourceError: git is missing, or takes too long.
    """
    kept = {name: value for name, value in os.environ.items() if name not in OF_A_REPOSITORY}
    try:
        return subprocess.run(
            ["git", "--no-optional-locks", *words],
            cwd=folder, input=given, capture_output=True, check=False, timeout=SECONDS,
            env=kept | NO_FETCH | variables,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise CSourceError(f"git cannot be run: {fault}", "install git, or name a folder with the files") from fault


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """What git reported, in one line of a message."""
    return "; ".join(done.stderr.decode(errors="replace").split("\n")).strip("; ")[:300]

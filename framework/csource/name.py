"""The names of policies that are written in C."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

TREE: Final = "tree:"
"""The beginning of the name of a kernel tree."""


def policy_name(path: Path) -> str:
    """The name of the policy in a file: that of the file in lower case, with hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")

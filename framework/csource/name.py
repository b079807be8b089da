"""The name of a policy that is written in C."""

from __future__ import annotations

import re
from pathlib import Path


def policy_name(path: Path) -> str:
    """The name of the policy in a file: that of the file in lower case, with hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")

"""The programs that are recorded."""

from __future__ import annotations

import sys
from typing import Final

from databases import DATABASES  # type: ignore[import-not-found]  # found where this script lies
from pools import POOLS  # type: ignore[import-not-found]
from program import LOADS, Program, printed, script  # type: ignore[import-not-found]
from tools import TOOLS  # type: ignore[import-not-found]
from web import WEB  # type: ignore[import-not-found]

PROGRAMS: Final[tuple[Program, ...]] = (*DATABASES, *WEB, *POOLS, *TOOLS)
ARENA: Final = Program(
    "arena", "arena with MADV_DONTNEED",
    "No program of its own right: three related processes give random runs of pages of an arena back.", "runs",
    script(sys.executable, "-I", str(LOADS / "arena.py"), "64", "4"), printed("done"), end=0,
)  # fmt: skip
"""Only for the question of partially mapped folios."""

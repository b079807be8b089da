"""Makes the modules that tests share importable: those of this folder and of tests/explore."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, HERE.parents[1] / "explore"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

"""What a scenario file says of itself at its top, without the parser and what that imports: lists must be quick."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path


def summary(path: str | os.PathLike[str]) -> str:
    """The first sentence of a scenario file, without looking at the rest of it; "" where there is none."""
    told: list[str] = []
    with suppress(OSError, UnicodeDecodeError), Path(path).open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("|"):
                told.append(line[1:].strip())
            elif told or line.startswith("region"):
                break
    return re.split(r"(?<=[.!?])\s", " ".join(told), maxsplit=1)[0]

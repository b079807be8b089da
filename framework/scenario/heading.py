"""The heading of a scenario file, read without the parser and its imports, so that listing many files is quick."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

MAX_LINE: Final = 4096


def summary(path: str | os.PathLike[str]) -> str:
    """The first sentence of a scenario file's text; "" if it has none or cannot be read."""
    lines: list[str] = []
    with suppress(OSError, UnicodeDecodeError), Path(path).open(encoding="utf-8") as file:
        for line in iter(lambda: file.readline(MAX_LINE), ""):
            if line.startswith("|"):
                lines.append(line[1:].strip())
            elif lines or line.startswith("region"):
                break
    return re.split(r"(?<=[.!?])\s", " ".join(lines), maxsplit=1)[0]

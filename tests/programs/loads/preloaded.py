"""A WSGI application whose table is loaded before the workers are forked; a request reads a part of it.

Reading a Python object changes its reference count, so reading is writing: each request makes the worker copy.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final

ENTRIES: Final = 300_000
READ: Final = 300
TABLE: Final = {f"entry {number}": [number, str(number) * 3] for number in range(ENTRIES)}


def app(environ: dict[str, object], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """Read some entries, and say how long their texts are together."""
    total = 0
    for _ in range(READ):
        entry = TABLE[f"entry {random.randrange(ENTRIES)}"]
        total += len(str(entry[1]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(total).encode()]

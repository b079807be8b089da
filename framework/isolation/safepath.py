"""Keep the current folder off the path on which child processes look for modules, and libraries for their settings.

`python -m` and `python -c` put the current folder first there, and multiprocessing starts its children and its resource
tracker with `-c`. Whoever can write to that folder could then stand in for any module, such as `types`.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import util
from typing import Any, Final, Literal

FLAG: Final = "-P"
"""Python's option for it. Processes inherit it from one that has it."""


@contextmanager
def elsewhere() -> Iterator[None]:
    """Stay in / for the import of a library that looks for its configuration in the current folder."""
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir("/")
        yield
    finally:
        os.fchdir(before)
        os.close(before)


@cache
def context(method: Literal["fork", "spawn"]) -> Any:
    """The context of multiprocessing for a start method. All children are started with `FLAG`."""
    inherited: Any = util
    flags = inherited._args_from_interpreter_flags
    if FLAG not in flags():
        # There is no public way. An environment variable would also reach the programs that are recorded.
        inherited._args_from_interpreter_flags = lambda: [*flags(), FLAG]
    return multiprocessing.get_context(method)

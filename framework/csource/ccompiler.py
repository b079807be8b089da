"""The system's C compiler: where it is, and what it makes of a text."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.scratch import scratch

COMPILERS: Final = ("cc", "gcc", "clang")
SECONDS: Final = 120.0
_WRONG: Final = ("error", "cannot find", "undefined reference", "multiple definition")
"""The words of a line that says what is wrong."""


def compiler() -> str:
    """The path of the compiler; empty if there is none."""
    return next((found for name in COMPILERS if (found := shutil.which(name))), "")


def version() -> str:
    """What the compiler calls itself; empty if it cannot be asked."""
    try:
        done = subprocess.run([compiler(), "--version"], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter(done.stdout.splitlines()), "")


def is_clang() -> bool:
    """Whether it is clang, whose options are not all those of gcc."""
    return "clang" in version()


def built(words: Sequence[str], text: str, what: str, raises: type[FolioLabError], hint: str) -> bytes:
    """What the compiler writes.

    Args:
        words: its arguments, but for the name of what it writes.
        text: its standard input.
        what: is built, for messages.
        raises: the error where that fails.
        hint: how to have a compiler that can.
    """
    command = compiler()
    if not command:
        raise raises(f"there is no C compiler to build {what}", hint)
    with scratch() as folder:
        out = folder / "built"
        try:
            done = subprocess.run(
                [command, *words, "-o", os.fspath(out)],
                input=text, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise raises(f"{command} cannot build {what}: {fault}", hint) from fault
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            first = next((line for line in lines if any(word in line for word in _WRONG)), lines[0])
            raise raises(f"{command} cannot build {what}: {first}", hint)
        return out.read_bytes()

"""Builds C text with the system's compiler, once; the cache of native code keeps the program."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from foliolab.framework.csource.ccompiler import built
from foliolab.framework.errors import KernelError
from foliolab.framework.machine import cache

SOURCES: Final = Path(__file__).parent
COMMON: Final = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
FLAGS: Final = (*COMMON, "-static", "-pthread")
INSTALL: Final = "install one with its static C library (Debian and Ubuntu: apt install gcc libc6-dev)"


def agent() -> bytes:
    """The program; built if the cache does not have it.

    Raises:
        KernelError: there is no compiler, or it cannot build the program.
    """
    return kept("the agent that plays scenarios", _texts(), FLAGS)


def kept(what: str, texts: Sequence[Path], flags: Sequence[str]) -> bytes:
    """A program or library of C texts and headers; built if the cache does not have it.

    Args:
        what: it is, for messages.
        texts: its C files, and the headers that they include.
        flags: of the compiler.

    Raises:
        KernelError: there is no compiler, or it cannot build it.
    """
    key = _key(texts, flags)
    program = cache.read(key)
    if program is None:
        words = [*flags, *(os.fspath(path) for path in texts if path.suffix == ".c")]
        program = built(words, "", what, KernelError, INSTALL)
        cache.write(key, program)
    return program


def _texts() -> list[Path]:
    return sorted(path for path in SOURCES.iterdir() if path.suffix in (".c", ".h"))


def _key(texts: Sequence[Path], flags: Sequence[str]) -> str:
    """The hash of everything that the program is made of, but for the compiler and its library."""
    found = hashlib.sha256(" ".join((platform.machine(), *flags)).encode())
    for path in texts:
        found.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return found.hexdigest()

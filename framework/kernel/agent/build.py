"""Builds the agent from its C text with the system's compiler, once; the cache of native code keeps the program."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Final

from foliolab.framework.csource.ccompiler import built
from foliolab.framework.errors import KernelError
from foliolab.framework.machine import cache

SOURCES: Final = Path(__file__).parent
FLAGS: Final = ("-std=gnu11", "-static", "-O2", "-Wall", "-Wextra")
INSTALL: Final = "install one with its static C library (Debian and Ubuntu: apt install gcc libc6-dev)"


def agent() -> bytes:
    """The program; built if the cache does not have it.

    Raises:
        KernelError: there is no compiler, or it cannot build the program.
    """
    key = _key()
    program = cache.read(key)
    if program is None:
        program = _compiled()
        cache.write(key, program)
    return program


def _texts() -> list[Path]:
    return sorted(path for path in SOURCES.iterdir() if path.suffix in (".c", ".h"))


def _key() -> str:
    """The hash of everything that the program is made of, but for the compiler and its library."""
    found = hashlib.sha256(" ".join((platform.machine(), *FLAGS)).encode())
    for path in _texts():
        found.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _compiled() -> bytes:
    words = [*FLAGS, *(os.fspath(path) for path in _texts() if path.suffix == ".c")]
    return built(words, "", "the agent that plays scenarios", KernelError, INSTALL)

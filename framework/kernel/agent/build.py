"""Builds the agent from its C text with the system's compiler, once; the cache of native code keeps the program."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.machine import cache

SOURCES: Final = Path(__file__).parent
COMPILERS: Final = ("cc", "gcc", "clang")
FLAGS: Final = ("-std=gnu11", "-static", "-O2", "-Wall", "-Wextra")
SECONDS: Final = 120.0
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


def compiler() -> str:
    """The path of the compiler; empty if there is none."""
    return next((found for name in COMPILERS if (found := shutil.which(name))), "")


def _texts() -> list[Path]:
    return sorted(path for path in SOURCES.iterdir() if path.suffix in (".c", ".h"))


def _key() -> str:
    """The hash of everything that the program is made of, but for the compiler and its library."""
    found = hashlib.sha256(" ".join((platform.machine(), *FLAGS)).encode())
    for path in _texts():
        found.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _compiled() -> bytes:
    command = compiler()
    if not command:
        raise KernelError("there is no C compiler to build the agent that plays scenarios", INSTALL)
    with scratch() as folder:
        out = folder / "agent"
        words = [command, *FLAGS, "-o", os.fspath(out), *(os.fspath(path) for path in _texts() if path.suffix == ".c")]
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise KernelError(f"{command} cannot build the agent that plays scenarios: {fault}", INSTALL) from fault
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            first = next((line for line in lines if "error" in line or "cannot find" in line), lines[0])
            raise KernelError(f"{command} cannot build the agent that plays scenarios: {first}", INSTALL)
        return out.read_bytes()

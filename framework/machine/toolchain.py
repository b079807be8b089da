"""What native code is made with: its digest, which is part of every key, and whether it is there. numba stays unloaded.

numba's import takes 0.3 s of processor time, several times what most commands need beside it, and code from the cache
runs without it. So the versions come from the packages' metadata, and that numba can be imported is remembered.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from functools import cache as remember
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Final

import numpy as np

from foliolab.framework.machine import cache

IMPORTED: Final = b"numba can be imported"


@remember
def digest() -> bytes:
    """What native code depends on besides the call tree: this folder's text, the compiler, the CPU.

    Raises:
        ImportError: llvmlite cannot be imported, or numba is not installed.
    """
    import llvmlite.binding as llvm

    whole = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        whole.update(file.read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    versions = (_release("numba"), _release("llvmlite"), sys.version_info[:3])
    whole.update(repr((versions, platform.machine(), llvm.get_host_cpu_name(), features)).encode())
    return whole.digest()


def _release(package: str) -> str:
    """The release of an installed package; one that was installed without metadata is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return str(import_module(package).__version__)


def missing(*, look: bool = False) -> str:
    """Why numba cannot be imported; empty if it can.

    Args:
        look: import it, even where an earlier process has imported the same release from the same place.
    """
    key = _import_key()
    if key and not look and cache.read(key) == IMPORTED:
        return ""
    try:
        import numba  # noqa: F401
    except (ImportError, OSError) as fault:  # the package, or a library of the system that it needs
        if key:
            cache.drop(key)
        return f"numba cannot be imported ({fault})"
    if key:
        cache.write(key, IMPORTED)
    return ""


def _import_key() -> str:
    """Under what the cache keeps that numba can be imported: releases and places; empty where something is missing."""
    try:
        found = [util.find_spec(name) for name in ("numba", "llvmlite", "numpy")]
        places = [one and one.origin for one in found]
        return hashlib.sha256(digest() + repr((places, np.__version__)).encode()).hexdigest() if all(found) else ""
    except (ImportError, OSError, ValueError):  # ValueError: another program has put None in its place
        return ""

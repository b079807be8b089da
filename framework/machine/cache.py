"""The disk cache of native code: one file per content hash, with a checksum.

A file's name is the hash of everything that went into it, so an entry is never stale. A new file is written beside the
final name and renamed, so a concurrent builder sees either no file or a whole one. A damaged file is deleted and
built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

import platformdirs

MAGIC: Final = b"foliolab native 1\n"


def folder() -> Path:
    """Where native code is kept: $FOLIOLAB_CACHE, or the user's cache folder."""
    chosen = os.environ.get("FOLIOLAB_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("foliolab", appauthor=False)) / "native"


def _file(key: str) -> Path:
    return folder() / key[:2] / f"{key}.native"


def read(key: str) -> bytes | None:
    """The payload stored under a key, or None; a damaged entry is removed."""
    path = _file(key)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head, checksum, payload = data[: len(MAGIC)], data[len(MAGIC) : len(MAGIC) + 32], data[len(MAGIC) + 32 :]
    if head == MAGIC and hashlib.sha256(payload).digest() == checksum:
        return payload
    drop(key)
    return None


def write(key: str, payload: bytes) -> None:
    """Store a payload; if the folder cannot be written, the payload is not kept."""
    path = _file(key)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(MAGIC + hashlib.sha256(payload).digest() + payload)
            os.replace(name, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def drop(key: str) -> None:
    """Delete an entry."""
    with contextlib.suppress(OSError):
        _file(key).unlink()


def has(key: str) -> bool:
    """Whether a file is stored under a key; its checksum is not checked."""
    return _file(key).is_file()

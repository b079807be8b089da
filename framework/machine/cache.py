"""The disk cache of native code: one file per content hash, with a checksum.

A file's name is the hash of everything that went into it, so an entry is never stale. A new file is written beside the
final name and renamed, so a concurrent builder sees either no file or a whole one. A damaged file is deleted and
built again.

A builder locks an entry meanwhile; other processes wait and then load what it made. The kernel ends a lock with its
process, so nothing is left of a builder that is killed but an empty file, which the next one removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import platformdirs

MAGIC: Final = b"foliolab native 1\n"
PATIENCE: Final = 60.0
"""Seconds to wait for another builder, which may be stopped; afterwards the entry is built twice."""
_PAUSE: Final = 0.02


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


@contextlib.contextmanager
def building(key: str) -> Iterator[None]:
    """Lock an entry while the block runs; look for the entry again inside. Without a writable folder nothing is locked.

    The lock is a POSIX lock, which a forked child does not inherit: it would keep it after its parent's death.
    """
    path = _file(key).with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        locked = _locked(handle)
        try:
            yield
        finally:
            if locked:  # those who wait have the file open, and find the entry
                with contextlib.suppress(OSError):
                    path.unlink()
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Whether the lock was had before PATIENCE ran out."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # POSIX allows either for a lock that another process has
            time.sleep(_PAUSE)
        except OSError:  # a file system without locks
            return False
        else:
            return True
    return False

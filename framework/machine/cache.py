"""The disk cache of native code: one file per content hash, authenticated with a secret of the user.

A file's name is the hash of everything that went into it (`native.Library.key`), so an entry is never stale. A new file
is written beside the final name and renamed, so a concurrent builder sees either no file or a whole one. A damaged file
is deleted and built again.

What is read here runs. A folder in which others could write is not used at all, and an entry counts only with a
signature over its name and content; the secret lies in the folder, and nobody else can read it.
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

import platformdirs

from foliolab.framework.ownership import distrust, make_private

MAGIC: Final = b"foliolab native 2\n"
SECRET: Final = "secret"
"""The name of the file with the secret."""
SIZE: Final = 32
"""Bytes of the secret, and of a signature."""


def folder() -> Path:
    """Where native code is kept: $FOLIOLAB_CACHE, or the user's cache folder."""
    chosen = os.environ.get("FOLIOLAB_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("foliolab", appauthor=False)) / "native"


def refusal() -> str:
    """Why no native code is kept, in a clause; empty if it is."""
    return _opened(str(folder()))[1]


def read(key: str) -> bytes | None:
    """The payload stored under a key, or None; an entry with a wrong signature is removed."""
    if _opened(str(folder()))[0] is None:
        return None
    try:
        data = _file(key).read_bytes()
    except OSError:
        return None
    payload = unsigned(key, data.removeprefix(MAGIC)) if data.startswith(MAGIC) else None
    if payload is None:
        drop(key)
    return payload


def write(key: str, payload: bytes) -> None:
    """Store a payload; if the folder cannot be written or trusted, the payload is not kept."""
    data = signed(key, payload)
    if data is not None:
        with contextlib.suppress(OSError):
            _replace(location(key), MAGIC + data)


def signed(key: str, payload: bytes) -> bytes | None:
    """A payload with a signature before it, to keep outside of the cache; None without a secret (see `refusal`)."""
    secret, _ = _opened(str(folder()))
    return None if secret is None else _signature(secret, key, payload) + payload


def unsigned(key: str, data: bytes) -> bytes | None:
    """The payload of what `signed` made with this key and secret; None of anything else."""
    secret, _ = _opened(str(folder()))
    if secret is None or not hmac.compare_digest(_signature(secret, key, data[SIZE:]), data[:SIZE]):
        return None
    return data[SIZE:]


def drop(key: str) -> None:
    """Delete an entry."""
    with contextlib.suppress(OSError):
        _file(key).unlink()


def has(key: str) -> bool:
    """Whether a file is stored under a key; its signature is not checked."""
    return _opened(str(folder()))[0] is not None and _file(key).is_file()


def location(key: str) -> Path:
    """Where an entry is kept; the folder around it exists.

    Raises:
        OSError: nothing is kept.
    """
    secret, why = _opened(str(folder()))
    if secret is None:
        raise OSError(why)
    make_private(_file(key).parent)
    return _file(key)


def _file(key: str) -> Path:
    return folder() / key[:2] / f"{key}.native"


def _signature(secret: bytes, key: str, payload: bytes) -> bytes:
    return hmac.digest(secret, key.encode() + payload, "sha256")


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.replace(name, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


@functools.cache
def _opened(path: str) -> tuple[bytes | None, str]:
    """The secret of a folder, which is made if it is missing; None, and why, if the folder is not used."""
    try:
        # First what is there: root must not make folders in a user's home, as `sudo` may let it.
        there = next(one for one in (Path(path).absolute(), *Path(path).absolute().parents) if one.exists())
        if found := distrust(there):
            return None, found
        make_private(Path(path))
        if found := distrust(path):
            return None, found
        return _secret(Path(path) / SECRET), ""
    except OSError as fault:
        return None, f"{path} cannot be used: {fault.strerror or fault}"


def _secret(path: Path) -> bytes:
    """The secret in a file, which is made if it is missing, not whole, or within reach of others."""
    for _ in range(3):
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                found, data = os.fstat(handle), file.read(SIZE + 1)
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o600 and len(data) == SIZE:
                return data
            path.unlink()
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(SIZE))
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(name, path)
        os.unlink(name)
    raise OSError(f"{path} cannot be kept secret")

"""Versioned JSON files: one msgspec struct each, written atomically, and refused with the reason."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

import msgspec

from foliolab.framework.errors import NotWritten, ResultFileError

SUFFIX: Final = ".tmp"
"""The end of a temporary file's name."""


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that at any time it is either the old one or the complete new one.

    Raises:
        NotWritten: the file cannot be written.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            target.write_bytes(data)  # a pipe or a terminal must not be replaced by a file
            return
        handle, fresh = beside(target)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(fresh, _mode(target))
            os.replace(fresh, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(fresh)
            raise
        remove_abandoned(target)
    except OSError as error:
        raise NotWritten(
            f"{os.fspath(path)} cannot be written: {error.strerror or error}",
            "choose a file in a folder that exists, has room, and that you may write to",
        ) from error


def beside(target: Path) -> tuple[int, str]:
    """Make the temporary file of a target: its descriptor, open for writing, and its path.

    Raises:
        OSError: there is no such folder, or it cannot be written to.
    """
    return tempfile.mkstemp(dir=target.parent, prefix=_prefix(target, os.getpid()), suffix=SUFFIX)


def _prefix(target: Path, pid: int | str) -> str:
    name = os.fsdecode(os.fsencode(target.name)[:150])  # the name of the temporary file has at most 255 bytes
    return f".{name}.{pid}-"


def _mode(target: Path) -> int:
    """The permissions that the target has, or would get if it were opened for writing."""
    with suppress(OSError):
        return stat.S_IMODE(target.stat().st_mode)
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask


@cache
def remove_abandoned(target: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote this file; once in a process."""
    start, processes = _prefix(target, "")[:-1], Path("/proc")
    with suppress(OSError):
        for name in os.listdir(target.parent):
            pid = name[len(start) :].partition("-")[0]
            is_temporary = name.startswith(start) and name.endswith(SUFFIX) and pid.isdecimal()
            if is_temporary and (processes / "self").exists() and not (processes / pid).exists():
                (target.parent / name).unlink()


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept in a JSON file, with the struct's fields as keys.

    Unknown keys are refused, so that the file of a later FolioLab is never half understood. A subclass whose format
    changes in a way that an older FolioLab would misread gets a higher SCHEMA, and its own default for `schema`.

    Attributes:
        schema: the version of the file's format.
    """

    SCHEMA: ClassVar[int] = 1
    """The newest schema that this FolioLab reads."""
    WHAT: ClassVar[str] = "file"
    """What such a file is called in messages."""
    MADE_BY: ClassVar[str] = "foliolab"
    """The command that writes one."""

    schema: Annotated[int, msgspec.Meta(ge=1)] = 1

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, atomically.

        Raises:
            NotWritten: the file cannot be written.
        """
        write_atomically(path, msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file.

        Raises:
            ResultFileError: there is none, it is damaged, a field has the wrong type, or its schema is newer.
        """
        what, name = cls.WHAT, os.fspath(path)
        try:
            data = Path(path).read_bytes()
        except FileNotFoundError as error:
            raise ResultFileError(f"there is no {what} {name}", f"`{cls.MADE_BY}` writes one") from error
        except OSError as error:
            raise ResultFileError(
                f"the {what} {name} cannot be read: {error.strerror or error}", "check its path and permissions"
            ) from error
        try:
            found = msgspec.json.decode(data, type=_Header).schema
            if found > cls.SCHEMA:
                raise ResultFileError(
                    f"{name} is written by schema {found}, this FolioLab reads up to {cls.SCHEMA}", "update FolioLab"
                )
            return msgspec.json.decode(data, type=cls)
        except msgspec.ValidationError as error:
            reason, _, field = str(error).partition(" - at `$.")
            where = f"field {field.rstrip('`')}: " if field else ""
            raise ResultFileError(
                f"{name} is not a {what} that this FolioLab reads: {where}{reason}",
                f"make it anew with `{cls.MADE_BY}`",
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ResultFileError(
                f"the {what} {name} is damaged, or is not a {what}: {error}",
                f"restore it from a copy, or make it anew with `{cls.MADE_BY}`",
            ) from error


class _Header(msgspec.Struct):
    """The version, read before the rest: a newer file may have fields of which this FolioLab knows nothing."""

    schema: Annotated[int, msgspec.Meta(ge=1)]

"""Versioned JSON files: one msgspec struct each, written atomically, and refused with the reason."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar, Self

import msgspec

from foliolab.framework.errors import ResultFileError


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that at any time it is either the old one or the complete new one.

    Raises:
        ResultFileError: the file cannot be written.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            Path(path).write_bytes(data)  # a pipe or a terminal must not be replaced by a file
            return
        target = Path(os.path.realpath(path))
        fresh = target.with_name(f".{target.name[:200]}.{os.getpid()}.tmp")
        try:
            with fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, target)
        except BaseException:
            with suppress(OSError):
                fresh.unlink()
            raise
    except OSError as error:
        raise ResultFileError(
            f"{os.fspath(path)} cannot be written: {error.strerror or error}",
            "choose a file in a folder that exists and that you may write to",
        ) from error


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
            ResultFileError: the file cannot be written.
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

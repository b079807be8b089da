"""Versioned JSON files: a msgspec struct each, written atomically, and refused with the reason."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from foliolab.framework.errors import ResultFileError

Document = TypeVar("Document")


class _Header(msgspec.Struct):
    """What every such file has."""

    schema: Annotated[int, msgspec.Meta(ge=1)]


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that at any time it is either the old one or the complete new one.

    Raises:
        ResultFileError: the place cannot be written to.
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


def save(document: object, path: str | os.PathLike[str]) -> None:
    """Write a file, atomically.

    Args:
        document: a msgspec struct with a field `schema`.

    Raises:
        ResultFileError: the place cannot be written to.
    """
    write_atomically(path, msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def load(path: str | os.PathLike[str], kind: type[Document], schema: int, what: str, made_by: str) -> Document:
    """Read a file.

    Args:
        path: where it is.
        kind: the struct.
        schema: the newest one that is read.
        what: what such a file is called in messages.
        made_by: the command that writes one.

    Raises:
        ResultFileError: there is none, it is damaged, a field has the wrong type, or its schema is newer.
    """
    name = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise ResultFileError(f"there is no {what} {name}", f"`{made_by}` writes one") from error
    except OSError as error:
        raise ResultFileError(
            f"the {what} {name} cannot be read: {error.strerror or error}", "check its path and permissions"
        ) from error
    try:
        found = msgspec.json.decode(data, type=_Header).schema
        if found > schema:
            raise ResultFileError(
                f"{name} is written by schema {found}, this FolioLab reads up to {schema}", "update FolioLab"
            )
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        said, _, field = str(error).partition(" - at `$.")
        where = f"field {field.rstrip('`')}: " if field else ""
        raise ResultFileError(
            f"{name} is not a {what} that this FolioLab reads: {where}{said}", f"make it anew with `{made_by}`"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ResultFileError(
            f"the {what} {name} is damaged or is none: {error}",
            f"restore it from a copy, or make it anew with `{made_by}`",
        ) from error

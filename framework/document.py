"""Versioned JSON files: one msgspec struct each, written atomically, bounded, and refused with the reason."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self

import msgspec

from foliolab.framework import intake
from foliolab.framework.errors import NotWritten, ResultFileError, UsageError

Number = Annotated[int, msgspec.Meta(ge=-intake.LARGEST, le=intake.LARGEST)]
"""An integer of a file."""
Count = Annotated[int, msgspec.Meta(ge=0, le=intake.LARGEST)]
"""An integer of a file that is not negative. Every integer of a `Document` is a `Number`, a `Count` or narrower."""
Finite = Annotated[float, msgspec.Meta(ge=-1e30, le=1e30)]
"""A number of a file that sums and squares of stay finite for."""
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e30)]
Spread = Annotated[float, msgspec.Meta(ge=0, le=1e30)]
"""A standard deviation, a variance or a duration."""
Name = Annotated[str, msgspec.Meta(max_length=1000)]
"""The name of a policy or workload, as a user writes it."""
LARGEST_KIB: Final = 1 << 20
SizeKib = Annotated[int, msgspec.Meta(ge=4, le=LARGEST_KIB)]
"""A folio size in KiB."""
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
    MOST_BYTES: ClassVar[int] = intake.MOST_BYTES
    """The largest file that is read."""

    schema: Annotated[int, msgspec.Meta(ge=1, le=intake.LARGEST)] = 1

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, atomically. Names of files that are not UTF-8 are written with backslashes.

        Raises:
            NotWritten: the file cannot be written.
        """
        write_atomically(path, self.encoded())

    def encoded(self) -> bytes:
        """The bytes of the file."""
        try:
            data = msgspec.json.encode(self)
        except UnicodeEncodeError:  # a command or a path with bytes that are no text
            data = msgspec.json.encode(_encodable(msgspec.to_builtins(self)))
        return msgspec.json.format(data, indent=1) + b"\n"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file.

        Raises:
            ResultFileError: there is none, it cannot be read, or `decode` refuses it.
        """
        hint = f"`{cls.MADE_BY}` writes one"
        return cls.decode(intake.read(path, cls.WHAT, hint, cls.MOST_BYTES), os.fspath(path))

    @classmethod
    def decode(cls, data: bytes, name: str) -> Self:
        """Read the text of a file.

        Args:
            name: of the file, for messages.

        Raises:
            ResultFileError: it is damaged, a field has the wrong type or range, `check` refuses it, or its schema is
                newer.
        """
        what = cls.WHAT
        try:
            found = msgspec.json.decode(data, type=_Header).schema
            if found > cls.SCHEMA:
                raise ResultFileError(
                    f"{name} is written by schema {found}, this FolioLab reads up to {cls.SCHEMA}", "update FolioLab"
                )
            document = msgspec.json.decode(data, type=cls)
            document.check()
            return document
        except msgspec.ValidationError as error:
            reason, _, field = str(error).partition(" - at `$.")
            where = f"field {field.rstrip('`')}: " if field else ""
            raise ResultFileError(
                f"{name} is not a {what} that this FolioLab reads: {where}{reason}",
                f"make it anew with `{cls.MADE_BY}`",
            ) from error
        except UsageError as error:
            raise ResultFileError(
                f"{name} is not a {what} that this FolioLab reads: {error.what}", error.hint
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ResultFileError(
                f"the {what} {name} is damaged, or is not a {what}: {error}",
                f"restore it from a copy, or make it anew with `{cls.MADE_BY}`",
            ) from error

    def check(self) -> None:
        """Refuse what the types of the fields cannot say, before anything is allocated for it.

        Raises:
            UsageError: says what is wrong.
        """


def _encodable(value: Any) -> Any:
    """Values of JSON whose texts are UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(one) for key, one in value.items()}
    return [_encodable(one) for one in value] if isinstance(value, (list, tuple)) else value


class _Header(msgspec.Struct):
    """The version, read before the rest: a newer file may have fields of which this FolioLab knows nothing."""

    schema: Annotated[int, msgspec.Meta(ge=1, le=intake.LARGEST)]

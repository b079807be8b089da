"""How a file comes in: read once, up to a size, and refused in one sentence that names it.

Everything that reads a file which somebody else may have written reads its bytes here. `document` has the types that
bound what a JSON file may say. This module imports neither numpy nor msgspec, because listings use it at their start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from foliolab.framework.errors import FolioLabError, ResultFileError

MOST_BYTES: Final = 256 << 20
"""The largest file that is read as a whole, unless its reader says less."""
LARGEST: Final = (1 << 63) - 1
"""The largest integer that a file may have."""
MOST_DIGITS: Final = len(str(LARGEST))
_SHOWN: Final = 60

Made = TypeVar("Made")


def read(
    path: str | os.PathLike[str],
    what: str,
    hint: str = "",
    most: int = MOST_BYTES,
    error: type[FolioLabError] = ResultFileError,
) -> bytes:
    """The bytes of a file, which is opened once, so that it may be a pipe.

    Args:
        what: such a file in messages, such as `counterexample`.
        hint: what to do where there is no such file.
        most: bytes that such a file has at most.
        error: the class of the error.

    Raises:
        FolioLabError: there is no such file, it cannot be read, or it is larger.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError as fault:
        raise error(f"there is no {what} {name}", hint) from fault
    except (OSError, ValueError) as fault:  # ValueError: a name with a zero byte
        why = getattr(fault, "strerror", None) or fault
        raise error(f"the {what} {name} cannot be read: {why}", "check its path and permissions") from fault
    if len(data) > most:
        raise error(f"{name} is larger than {size_text(most)}, too large for a {what}", "check its path")
    return data


def records(
    path: str | os.PathLike[str], what: str, schema: int, make: Callable[[dict[str, Any]], Made], hint: str
) -> list[Made]:
    """The records of a JSON file with `schema` and `records`.

    Args:
        what: that the records are, in the plural, such as `findings`.
        schema: the newest that the caller reads.
        make: turns the values of one record into it; it raises ValueError, KeyError or TypeError for wrong ones.
        hint: what to do with a damaged file.

    Raises:
        ResultFileError: the file does not exist, is of a newer schema, or does not hold such records.
    """
    text = read(path, f"file of {what}")
    try:
        data = json.loads(text)
        found = data["schema"]
        if not isinstance(found, int):
            raise TypeError(f"schema {excerpt(str(found))} is no number")
        if found > schema:
            raise ResultFileError(f"the {what} {path} are of schema {found}, this FolioLab reads up to {schema}")
        check_keys(data, ("schema", "records"))
        if not isinstance(data["records"], list):
            raise TypeError("records are no list")
        return [make(one) for one in data["records"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ResultFileError(
            f"the {what} {path} are damaged: {type(fault).__name__}: {excerpt(str(fault))}", hint
        ) from fault


def check_keys(data: dict[str, Any], keys: Collection[str]) -> None:
    """Refuse a key that no FolioLab writes, as `document.Document` does.

    Raises:
        KeyError: there is one.
    """
    if unknown := next((key for key in data if key not in keys), None):
        raise KeyError(f"unknown key {unknown}")


def size_text(nbytes: int) -> str:
    """A limit in messages, such as 64 KiB."""
    return f"{nbytes >> 20} MiB" if nbytes >= 1 << 20 else f"{nbytes >> 10} KiB"


def head(path: str | os.PathLike[str], nbytes: int) -> bytes:
    """The first bytes of a regular file, by which its kind is told; empty if it cannot be read."""
    try:
        if not os.path.isfile(path):
            return b""
        with Path(path).open("rb") as file:
            return file.read(nbytes)
    except (OSError, ValueError):
        return b""


def number(text: str) -> int | None:
    """The whole number that a text writes; None if it is none, or has more than 64 bits."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > MOST_DIGITS or int(digits) > LARGEST:
        return None
    return int(text)


def excerpt(text: str) -> str:
    """A text of a file for a message: in quotes, without control characters, and shortened."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def plain(text: str) -> str:
    """A text of a file for a message, as it is if it is short and printable; else its excerpt."""
    return text if len(text) <= _SHOWN and text.isprintable() else excerpt(text)


@contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let every error of the block name the file that it comes from."""
    name = os.fspath(path)
    try:
        yield
    except FolioLabError as fault:
        if name not in fault.what:
            fault.what = f"{name}: {fault.what}"
        raise

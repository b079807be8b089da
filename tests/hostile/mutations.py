"""Mutations of valid files: bytes, lines, numbers, and the values of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

NUMBERS: Final = (
    "0", "-1", "1", "3", "255", "65536", "16777216", "2147483647", "2147483648", "4294967295", "4294967296",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" + "0" * 30,
    "9" * 5000, "0.5", "1e308", "-1e308", "1e-320", "1e999", "NaN", "nan", "inf", "Infinity", "-0.0", "0x7fffffff",
)  # fmt: skip
"""Texts that a mutation puts in place of a number."""
PIECES: Final = (
    b"\0", b"\x1b]0;own\x07", b"\x1b[2J", b"\r", b"\n", b"\xff\xfe", b"\xed\xa0\x80", "\u202e".encode(), b"\x7f", b'"',
    b"}", b"[", b"{", b",", b" " * 40_000, b"[" * 40_000, b"(" * 40_000, b"a" * 40_000, b"9" * 40_000, b"\n" * 40_000,
    b"a." * 20_000, b'{"a":' * 20_000,
)  # fmt: skip
"""Bytes that a mutation inserts into a file."""
VALUES: Final[tuple[Any, ...]] = (
    None, True, -1, 0, 1 << 31, 1 << 63, 1 << 64, 10**30, 0.5, 1e308, -1e308, 1e-320, "", "x", "\0", "\x1b[2J",
    "\udcff", "é" * 300, "a" * 40_000, [], {}, [[]], {"a": 1}, [None], [0] * 2000, ["x"] * 2000,
)  # fmt: skip
"""Values that a mutation puts in place of a value of JSON."""
NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def mutants(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Mutants of a file, the same for the same seed."""
    chance = Random(seed)
    document = _json(data)
    ways: list[Callable[[bytes, Random], bytes]] = [_flip, _cut, _piece, _number, _number, _line, _twice]
    for _ in range(count):
        made = data
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            if document is not None and chance.random() < 0.6:
                made = _value(made, chance)
            else:
                made = chance.choice(ways)(made, chance)
        yield made


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _flip(data: bytes, chance: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(data: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] if chance.random() < 0.7 else data[:at] + data[at + chance.randint(1, 200) :]


def _piece(data: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(PIECES) + data[at:]


def _number(data: bytes, chance: Random) -> bytes:
    found = list(NUMBER.finditer(data))
    if not found:
        return _flip(data, chance)
    one = chance.choice(found)
    return data[: one.start()] + chance.choice(NUMBERS).encode() + data[one.end() :]


def _line(data: bytes, chance: Random) -> bytes:
    lines = data.split(b"\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    how = chance.randrange(3)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at : at + 1] = [lines[at]] * chance.choice((2, 100, 2000))
    return b"\n".join(lines)


def _twice(data: bytes, chance: Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    part = data[start : start + chance.randint(1, 300)]
    return data[:start] + part * chance.choice((2, 2, 50)) + data[start + len(part) :]


def _value(data: bytes, chance: Random) -> bytes:
    """Change one value, key or length somewhere in a JSON document."""
    document = _json(data)
    if document is None:
        return _flip(data, chance)
    places = list(_places(document))
    if not places:
        return _flip(data, chance)
    parent, key = chance.choice(places)
    how = chance.randrange(6)
    if how <= 2:
        parent[key] = chance.choice(VALUES)
    elif how == 3:
        del parent[key]
    elif isinstance(parent, list):
        parent[key : key + 1] = [parent[key]] * chance.choice((2, 64, 1000))
    elif how == 4:
        parent[f"{key}x"] = parent[key]
    else:
        parent[key] = [parent[key]]
    return json.dumps(document).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])

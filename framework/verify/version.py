"""The version of engine and verifier that judges: a digest of their code.

A verdict depends on the policy and on the code of contract, machine, engine and verifier. The digest is taken of their
syntax trees without docstrings, so comments, layout and documentation do not count. It is the same under every version
of Python, because plugins ship verdicts.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import foliolab.framework
from foliolab.framework.machine import cache as disk

ROOMS: Final = ("contract", "engine", "machine", "verify")
"""The folders of `foliolab.framework` whose code decides a verdict."""


@cache
def verifier_digest() -> str:
    """Digest of the code of engine and verifier, 12 hexadecimal digits; empty where their files cannot be read.

    Parsing takes half a second, so the digest is kept in the cache folder under the files' sizes and times.
    """
    root = Path(foliolab.framework.__file__).parent
    try:
        files = sorted(path for room in ROOMS for path in (root / room).rglob("*.py"))
        stats = [(str(path), stat.st_size, stat.st_mtime_ns) for path in files for stat in (path.stat(),)]
        key = hashlib.sha256(f"verifier digest 1 {stats}".encode()).hexdigest()
        kept = disk.read(key)
        if kept is None:
            kept = digest({path.relative_to(root).as_posix(): path.read_bytes() for path in files}).encode()
            disk.write(key, kept)
    except (OSError, SyntaxError):
        return ""
    return kept.decode() if files else ""


def version_text(version: str, verifier: str) -> str:
    """A version that judged, in words.

    Args:
        version: of FolioLab; empty where unknown.
        verifier: a `verifier_digest`; empty where unknown.
    """
    return f"FolioLab {version or '(unknown version)'}{f', verifier {verifier[:8]}' if verifier else ''}"


def present_version() -> str:
    """The version that judges now, in words."""
    from foliolab.framework.results.provenance import versions

    return version_text(versions().get("foliolab", ""), verifier_digest())


def digest(sources: dict[str, bytes]) -> str:
    """Digest of Python sources by name: of the code alone, comments, docstrings and layout apart."""
    whole = hashlib.sha256()
    for name in sorted(sources):
        whole.update("\0".join((name, *_code(ast.parse(sources[name])))).encode())
    return whole.hexdigest()[:12]


def _code(value: object) -> Iterator[str]:
    """A syntax tree as words. Empty fields are left out: newer versions of Python add some."""
    if isinstance(value, list):
        for item in value:
            if not _is_text(item):
                yield from _code(item)
    elif isinstance(value, ast.AST):
        yield type(value).__name__
        for name, part in ast.iter_fields(value):
            if part is not None and part != []:
                yield name
                yield from _code(part)
        yield "."
    else:
        yield repr(value)


def _is_text(statement: object) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )

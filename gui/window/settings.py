"""What the window remembers between starts, with a schema version and the way up from older ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from PySide6.QtCore import QByteArray, QSettings

SCHEMA: Final = 1
VERSION: Final = "schema"
Migration = Callable[[QSettings], None]
MIGRATIONS: Final[dict[int, Migration]] = {}
"""From each older schema to the next one."""
MOST_RECENT: Final = 10


class Settings:
    """Typed values of `QSettings`; what is damaged or from a newer version is set aside, never an error.

    Attributes:
        note: what was done with settings that could not be used; empty if all was well.
    """

    def __init__(self, store: QSettings | None = None) -> None:
        self._store = QSettings("foliolab", "foliolab") if store is None else store
        self.note = ""
        self._migrate()

    def _migrate(self) -> None:
        found = self.number(VERSION, 0 if self._store.allKeys() else SCHEMA)
        while found in MIGRATIONS and found < SCHEMA:
            MIGRATIONS[found](self._store)
            found += 1
        if found != SCHEMA:
            self.note = f"settings of schema {found} are not those of this version ({SCHEMA}); it starts with its own"
            self._store.clear()
        self._store.setValue(VERSION, SCHEMA)

    def text(self, key: str, default: str = "") -> str:
        """A text."""
        return str(self._store.value(key, default))

    def number(self, key: str, default: int = 0) -> int:
        """An integer; the default where something else is stored."""
        try:
            return int(str(self._store.value(key, default)))
        except ValueError:
            return default

    def flag(self, key: str, default: bool = False) -> bool:
        """A truth value."""
        return self.text(key, "true" if default else "false").lower() == "true"

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        found: Any = self._store.value(key, [])
        if isinstance(found, str):  # the INI format does not tell a list of one from a text
            return [found] if found else []
        return [str(one) for one in found or ()]

    def state(self, key: str) -> QByteArray:
        """A window's geometry or docks; empty where none is stored."""
        found = self._store.value(key)
        return found if isinstance(found, QByteArray) else QByteArray()

    def keep(self, key: str, value: str | int | bool | list[str] | QByteArray) -> None:
        """Remember a value."""
        stored: Any = value
        if isinstance(value, bool):
            stored = "true" if value else "false"
        self._store.setValue(key, stored)

    def remember(self, key: str, text: str) -> None:
        """Put a text first in a list of recent ones."""
        self.keep(key, [text, *(one for one in self.texts(key) if one != text)][:MOST_RECENT])

    def forget(self, group: str) -> None:
        """Remove all keys of a group."""
        self._store.remove(group)

    def write(self) -> None:
        """Bring it to disk now."""
        self._store.sync()

"""The settings of the window, with a schema version and migrations from older schemas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from PySide6.QtCore import QByteArray, QSettings

from foliolab.framework import intake
from foliolab.framework.machine import cache

SCHEMA: Final = 1
VERSION: Final = "schema"
Migration = Callable[[QSettings], None]
MIGRATIONS: Final[dict[int, Migration]] = {}
"""The function that changes settings of an older schema into the next one, by the older schema."""
MOST_RECENT: Final = 10
"""Entries of a list of recent files."""


class Settings:
    """Typed values of `QSettings`. Damaged settings, or those of a newer version, are discarded without an error.

    Attributes:
        note: says that settings were discarded; empty if they were not.
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
            self.note = f"the settings have schema {found}, this version has schema {SCHEMA}: defaults are used"
            self._store.clear()
        self._store.setValue(VERSION, SCHEMA)

    def text(self, key: str, default: str = "") -> str:
        return str(self._store.value(key, default))

    def number(self, key: str, default: int = 0) -> int:
        """An integer of 32 bits, as Qt takes them; the default if the stored value is none."""
        found = intake.number(str(self._store.value(key, default)).strip())
        return found if found is not None and abs(found) < 1 << 31 else default

    def flag(self, key: str, default: bool = False) -> bool:
        return self.text(key, "true" if default else "false").lower() == "true"

    def texts(self, key: str) -> list[str]:
        found: Any = self._store.value(key, [])
        if isinstance(found, str):  # the INI format stores a list of one as a plain text
            return [found] if found else []
        return [str(item) for item in found or ()]

    def state(self, key: str) -> QByteArray:
        """The stored geometry or dock layout; empty if none is stored, or if it is not as it was stored.

        Qt crashes or hangs on some damaged layouts, so that they are signed with the secret of the cache.
        """
        found = self._store.value(key)
        whole = cache.unsigned(key, bytes(found.data())) if isinstance(found, QByteArray) else None
        return QByteArray(whole or b"")

    def keep(self, key: str, value: str | int | bool | list[str] | QByteArray) -> None:
        """Store a value."""
        stored: Any = value
        if isinstance(value, bool):
            stored = "true" if value else "false"
        elif isinstance(value, QByteArray):
            stored = QByteArray(cache.signed(key, bytes(value.data())) or b"")
        self._store.setValue(key, stored)

    def remember(self, key: str, text: str) -> None:
        """Put a text first in a list of recent texts."""
        self.keep(key, [text, *(other for other in self.texts(key) if other != text)][:MOST_RECENT])

    def forget(self, group: str) -> None:
        """Remove all keys of a group."""
        self._store.remove(group)

    def write(self) -> None:
        """Write the settings to disk now."""
        self._store.sync()

"""Keep Qt from running code that lies in its data.

PySide6 writes Python objects to Qt's data streams as pickles, and unpickles whatever a stream has: a settings file
while it is opened, and what other programs drop onto the window. To unpickle is to run code. There is no switch, but
PySide6 looks up `pickle.loads` once in a process; `refuse_pickles` has it find a function that does nothing.
"""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

from PySide6.QtCore import QByteArray, QDataStream, QIODevice


@cache
def refuse_pickles() -> None:
    """Let Qt read every pickle as an empty text, from now on; before any settings are opened."""
    data = QByteArray()
    QDataStream(data, QIODevice.OpenModeFlag.WriteOnly).writeQVariant(_Object())
    module: Any = pickle
    loads, module.loads = pickle.loads, _nothing
    try:
        QDataStream(data, QIODevice.OpenModeFlag.ReadOnly).readQVariant()
    finally:
        module.loads = loads


class _Object:
    """What PySide6 writes as a pickle."""


def _nothing(data: bytes) -> str:
    return ""

"""Icons as strokes on a 24 × 24 grid, drawn in the colours of the theme, sharp at any scale."""

from __future__ import annotations

from functools import cache
from typing import Final

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from foliolab.framework.errors import UsageError
from foliolab.gui.window.theme import Theme

SIZE: Final = 64
"""Width in pixels of the pixmap; Qt scales it down."""
STROKES: Final = {
    "compare": "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 16h7M16.5 13v7",
    "explore": "M4 4h4v4H4zM10 4h4v4h-4zM16 4h4v4h-4zM4 10h4v4H4zM10 10h4v4h-4zM4 16h4v4H4zM17 17m-3 0a3 3 0 1 0 6 0"
    "a3 3 0 1 0-6 0M19.2 19.2L22 22",
    "benchmark": "M4 4v16h16M7 16l4-5 3 3 5-8",
    "verify": "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9 12l2 2 4-4",
    "policies": "M5 4h10l4 4v12H5zM14 4v5h5M8 13h8M8 16h6",
    "play": "M8 5l11 7-11 7z",
    "pause": "M8 5v14M16 5v14",
    "step": "M6 5l9 7-9 7zM18 5v14",
    "back": "M18 5l-9 7 9 7zM6 5v14",
    "access": "M5 12h9M11 8l4 4-4 4M19 6v12",
    "unaccess": "M19 12h-9M13 8l-4 4 4 4M5 6v12",
    "next": "M4 6l7 6-7 6zM12 6l7 6-7 6zM21 8v8",
    "previous": "M20 6l-7 6 7 6zM12 6l-7 6 7 6zM3 8v8",
    "restart": "M6 8a8 8 0 1 1-1.5 6M6 3v5h5",
    "stop": "M6 6h12v12H6z",
    "open": "M3 6h6l2 2h10v11H3z",
    "save": "M5 4h11l3 3v13H5zM8 4v5h7V4M8 20v-6h8v6",
    "share": "M8 12h8M16 12l-4-4M16 12l-4 4M5 4h14v16H5z",
    "export": "M12 4v11M8 8l4-4 4 4M5 14v6h14v-6",
    "copy": "M8 8h11v12H8zM5 16V4h11",
    "theme": "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
    "new": "M12 5v14M5 12h14",
    "search": "M10 10m-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0M14.5 14.5L21 21",
    "fit": "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
    "close": "M6 6l12 12M18 6L6 18",
    "warning": "M12 4l9 16H3zM12 10v5M12 17.5v.5",
    "information": "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v6M12 7.5v.5",
    "error": "M8 3h8l5 5v8l-5 5H8l-5-5V8zM12 7v6M12 16.5v.5",
}


@cache
def icon(name: str, theme: Theme) -> QIcon:
    """Draw an icon; the disabled form is fainter.

    Raises:
        UsageError: no icon has this name.
    """
    if name not in STROKES:
        raise UsageError(f"no icon is named {name!r}", f"icons are {', '.join(STROKES)}")
    made = QIcon()
    for mode, colour in ((QIcon.Mode.Normal, theme.text), (QIcon.Mode.Disabled, theme.edge)):
        made.addPixmap(_pixmap(STROKES[name], colour), mode)
    return made


def _pixmap(strokes: str, colour: str) -> QPixmap:
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path d="{strokes}" fill="none" '
        f'stroke="{colour}" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )
    found = QPixmap(SIZE, SIZE)
    found.fill(Qt.GlobalColor.transparent)
    painter = QPainter(found)
    QSvgRenderer(QByteArray(text.encode())).render(painter, QRectF(0, 0, SIZE, SIZE))
    painter.end()
    return found

"""How cells of a map look: a style for each combination of bits, with a name, a color and a hatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from foliolab.framework.explore import cells
from foliolab.gui.window.theme import Theme


@dataclass(frozen=True)
class CellStyle:
    """A style of cells.

    Args:
        name: its name in the legend.
        meaning: one sentence.
        hatch: drawn over the color where cells are large, so that color is not the only difference.
        verdict: whether the style shows a wrong answer of the policy, and not the truth.
    """

    name: str
    meaning: str
    hatch: Qt.BrushStyle = Qt.BrushStyle.NoBrush
    verdict: bool = False


STYLES: Final = (
    CellStyle("nothing mapped", "The page is not mapped."),
    CellStyle("swapped out", "The page is swapped out.", Qt.BrushStyle.Dense6Pattern),
    CellStyle("exclusive", "One MM maps the folio."),
    CellStyle("exclusive, in part", "One MM maps a part of the folio.", Qt.BrushStyle.HorPattern),
    CellStyle("shared", "Several MMs map the folio.", Qt.BrushStyle.Dense7Pattern),
    CellStyle("shared, in part", "Several MMs map the folio; some of its pages are not mapped.",
              Qt.BrushStyle.HorPattern),
    CellStyle("pinned", "The folio is pinned for DMA.", Qt.BrushStyle.VerPattern),
    CellStyle("false shared", "One MM maps the folio; the policy says that several may.",
              Qt.BrushStyle.BDiagPattern, True),
    CellStyle("unsafe", "Several MMs map the folio; the policy says that only one does.",
              Qt.BrushStyle.DiagCrossPattern, True),
)  # fmt: skip
"""By increasing weight: if several cells share a dot, the dot has the heaviest style. So the last three, which are rare
and important, are never lost."""
NOTHING: Final = 0
FALSE: Final = 7
UNSAFE: Final = 8
"""Indexes of styles."""


def styles_of_bits(verdicts: bool) -> NDArray[np.uint8]:
    """The style of each byte of a map: its index plus 1, shape (256,); 0 stands for cells outside the map.

    Args:
        verdicts: whether wrong answers of the policy are shown; otherwise only the truth is.
    """
    found = np.zeros(256, np.uint8)
    for byte in range(256):
        if verdicts and byte & cells.UNSAFE:
            style = UNSAFE
        elif verdicts and byte & cells.FALSE_SHARED:
            style = FALSE
        elif byte & cells.PINNED:
            style = 6
        elif byte & cells.SHARED:
            style = 5 if byte & cells.PARTIAL else 4
        elif byte & cells.MAPPED:
            style = 3 if byte & cells.PARTIAL else 2
        else:
            style = 1 if byte & cells.SWAPPED else NOTHING
        found[byte] = style + 1
    return found


def colours(theme: Theme) -> list[QColor]:
    """The color of each style."""
    exclusive, shared = theme.colour("exclusive"), theme.colour("shared")
    ground = theme.colour("panel")
    return [
        theme.colour("unmapped"), theme.colour("swapped"), exclusive, _mixed(exclusive, ground), shared,
        _mixed(shared, ground), theme.of_series(3), QColor("#f0e442" if theme.dark else "#e0c400"),
        QColor("#ff3b30" if theme.dark else "#d40000"),
    ]  # fmt: skip


def palette32(theme: Theme) -> NDArray[np.uint32]:
    """The colors as pixels of a QImage, shape (len(STYLES) + 1,); the first one is for cells outside the map."""
    words = [colour.rgb() for colour in (theme.colour("window"), *colours(theme))]
    return np.array(words, np.uint32)


def _mixed(one: QColor, other: QColor) -> QColor:
    pairs = ((one.red(), other.red()), (one.green(), other.green()), (one.blue(), other.blue()))
    return QColor(*((3 * a + 2 * b) // 5 for a, b in pairs))

"""What a cell of a map looks like: a face for each set of bits, with a word and a sign beside its colour."""

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
class Face:
    """A way that a cell looks.

    Args:
        name: as the legend has it.
        bits: one of these must be set; 0: the face of what has none.
        tells: what it means, in one sentence.
        hatch: drawn over it where cells are large, so that it is never colour alone.
        verdict: whether it is about the policy's answer, not the truth.
    """

    name: str
    bits: int
    tells: str
    hatch: Qt.BrushStyle = Qt.BrushStyle.NoBrush
    verdict: bool = False


FACES: Final = (
    Face("nothing mapped", 0, "The page maps nothing."),
    Face("swapped out", cells.SWAPPED, "Nothing is mapped; the contents are out.", Qt.BrushStyle.Dense6Pattern),
    Face("exclusive", cells.MAPPED, "One process maps the folio."),
    Face("exclusive, in part", cells.PARTIAL, "One process maps the folio, and not all of it.",
         Qt.BrushStyle.HorPattern),
    Face("shared", cells.SHARED, "Several processes map the folio.", Qt.BrushStyle.Dense7Pattern),
    Face("shared, in part", cells.SHARED | cells.PARTIAL, "Several map the folio; some page of it nobody does.",
         Qt.BrushStyle.HorPattern),
    Face("pinned", cells.PINNED, "The folio is pinned for DMA.", Qt.BrushStyle.VerPattern),
    Face("false shared", cells.FALSE_SHARED, "One process maps the folio; the policy says that several may.",
         Qt.BrushStyle.BDiagPattern, True),
    Face("unsafe", cells.UNSAFE, "Several processes map the folio; the policy says that one does.",
         Qt.BrushStyle.DiagCrossPattern, True),
)  # fmt: skip
"""By increasing weight: where several cells become one dot, the heaviest is seen."""
NOTHING: Final = 0
FALSE: Final = 7
UNSAFE: Final = 8


def faces_of_bits(verdicts: bool) -> NDArray[np.uint8]:
    """The face of each byte of a map, counted from 1, shape (256,); 0 is what is no page.

    Args:
        verdicts: whether the policy's wrong answers are seen, or the truth alone.
    """
    found = np.zeros(256, np.uint8)
    for byte in range(256):
        if verdicts and byte & cells.UNSAFE:
            face = UNSAFE
        elif verdicts and byte & cells.FALSE_SHARED:
            face = FALSE
        elif byte & cells.PINNED:
            face = 6
        elif byte & cells.SHARED:
            face = 5 if byte & cells.PARTIAL else 4
        elif byte & cells.MAPPED:
            face = 3 if byte & cells.PARTIAL else 2
        else:
            face = 1 if byte & cells.SWAPPED else 0
        found[byte] = face + 1
    return found


def colours(theme: Theme) -> list[QColor]:
    """The colour of each face."""
    exclusive, shared = theme.colour("exclusive"), theme.colour("shared")
    ground = theme.colour("panel")
    return [
        theme.colour("unmapped"), theme.colour("swapped"), exclusive, _between(exclusive, ground), shared,
        _between(shared, ground), theme.of_series(3), QColor("#f0e442" if theme.dark else "#e0c400"),
        QColor("#ff3b30" if theme.dark else "#d40000"),
    ]  # fmt: skip


def palette32(theme: Theme) -> NDArray[np.uint32]:
    """The colours as words of a QImage, first that of what is no page: shape (len(FACES) + 1,)."""
    words = [colour.rgb() for colour in (theme.colour("window"), *colours(theme))]
    return np.array(words, np.uint32)


def _between(one: QColor, other: QColor) -> QColor:
    pairs = ((one.red(), other.red()), (one.green(), other.green()), (one.blue(), other.blue()))
    return QColor(*((3 * a + 2 * b) // 5 for a, b in pairs))

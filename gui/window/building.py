"""Functions that make widgets and layouts, so that a form reads as the list of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLayout, QPushButton, QSplitter, QToolButton, QVBoxLayout, QWidget

from foliolab.gui.window import plain
from foliolab.gui.window.plain import PlainLabel

W = TypeVar("W", bound=QWidget)
B = TypeVar("B", QHBoxLayout, QVBoxLayout)
Part = QWidget | QLayout | int | tuple[QWidget | QLayout, int]
"""A widget or layout, with its stretch factor if it grows; a number alone is empty space with this stretch factor."""
Margins = tuple[int, int, int, int]
FLUSH: Final[Margins] = (0, 0, 0, 0)


def named(widget: W, name: str, tip: str = "") -> W:
    """Set what screen readers say about a widget, and its tool tip; return the widget."""
    widget.setAccessibleName(name)
    if tip:
        widget.setToolTip(plain.tip(tip))
    return widget


def label(text: str = "", role: str = "", *, wraps: bool = False, selectable: bool = False) -> PlainLabel:
    """Make a label. The style sheet draws it by its role, such as "quiet" or "heading"."""
    made = PlainLabel(text)
    made.setProperty("role", role)
    made.setWordWrap(wraps)
    if selectable:
        made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made


def primary(text: str) -> QPushButton:
    """Make the button of a panel's most important action."""
    made = QPushButton(text)
    made.setProperty("role", "primary")
    return made


def tool_button(text: str, name: str) -> QToolButton:
    """Make a flat button; `name` is what screen readers and its tool tip say."""
    made = QToolButton()
    made.setText(text)
    return named(made, name, name)


def column(
    *parts: Part, of: QWidget | None = None, margins: Margins | None = None, spacing: int | None = None
) -> QVBoxLayout:
    """Lay parts out from top to bottom.

    Args:
        parts: the parts.
        of: the widget that gets the layout; None for a layout that becomes part of another.
        margins, spacing: in pixels; the defaults of the style if None.
    """
    return _filled(QVBoxLayout() if of is None else QVBoxLayout(of), parts, margins, spacing)


def row(
    *parts: Part, of: QWidget | None = None, margins: Margins | None = None, spacing: int | None = None
) -> QHBoxLayout:
    """Lay parts out from left to right; the arguments are those of `column`."""
    return _filled(QHBoxLayout() if of is None else QHBoxLayout(of), parts, margins, spacing)


def page(*parts: Part, margins: Margins = FLUSH, spacing: int | None = None) -> QWidget:
    """Make a widget with a column of parts."""
    made = QWidget()
    column(*parts, of=made, margins=margins, spacing=spacing)
    return made


def _filled(layout: B, parts: Sequence[Part], margins: Margins | None, spacing: int | None) -> B:
    if margins is not None:
        layout.setContentsMargins(*margins)
    if spacing is not None:
        layout.setSpacing(spacing)
    for part in parts:
        item, stretch = part if isinstance(part, tuple) else (part, 0)
        if isinstance(item, int):
            layout.addStretch(item)
        elif isinstance(item, QLayout):
            layout.addLayout(item, stretch)
        else:
            layout.addWidget(item, stretch)
    return layout


def splitter(orientation: Qt.Orientation, *parts: tuple[QWidget, int], sizes: Sequence[int]) -> QSplitter:
    """Make a splitter of parts with their stretch factors and first sizes; no part can be collapsed."""
    made = QSplitter(orientation)
    made.setChildrenCollapsible(False)
    for number, (part, stretch) in enumerate(parts):
        made.addWidget(part)
        made.setStretchFactor(number, stretch)
    made.setSizes(list(sizes))
    return made

"""Colours and symbols of the dark and the light theme, for widgets, maps and curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory, QWidget

SYMBOLS: Final = ("o", "s", "t", "d", "+", "x", "star", "p")
"""Of curves, by policy, so that colour alone never distinguishes them."""
DASHES: Final = ((), (6, 3), (2, 2), (8, 3, 2, 3))
"""Of lines without points."""


@dataclass(frozen=True)
class Theme:
    """Colours by meaning, as `#rrggbb`.

    Attributes:
        name: dark or light.
        window, panel, raised: surfaces, from the lowest to the highest.
        text, quiet, edge: for text, for less important text, for borders.
        accent: for selections and for the primary button of a workspace.
        good, doubtful, bad: for verdicts; a word or sign always stands beside them.
        series: for policies; Okabe and Ito's colours, which colour-blind people can distinguish, without black.
        unmapped, exclusive, shared, swapped, changed: for memory maps.
    """

    name: str
    window: str
    panel: str
    raised: str
    text: str
    quiet: str
    edge: str
    accent: str
    good: str
    doubtful: str
    bad: str
    series: tuple[str, ...]
    unmapped: str
    exclusive: str
    shared: str
    swapped: str
    changed: str

    @property
    def dark(self) -> bool:
        return self.name == "dark"

    def of_series(self, number: int) -> QColor:
        """The colour of the policy with this number; colours repeat."""
        return QColor(self.series[number % len(self.series)])

    def colour(self, token: str) -> QColor:
        """The colour of a meaning, by the name of the attribute."""
        return QColor(getattr(self, token))


DARK: Final = Theme(
    name="dark",
    window="#1b1d21",
    panel="#22252a",
    raised="#2d3138",
    text="#e6e8eb",
    quiet="#9aa3ad",
    edge="#434952",
    accent="#4c9be8",
    good="#3fbf8f",
    doubtful="#e6b33c",
    bad="#ef6a4c",
    series=("#56b4e9", "#e69f00", "#1fb88a", "#cc79a7", "#f0e442", "#d9713c", "#6d8fd6", "#b9c0c8"),
    unmapped="#23262b",
    exclusive="#2f7fb8",
    shared="#c9862b",
    swapped="#6b5b95",
    changed="#ffffff",
)
LIGHT: Final = Theme(
    name="light",
    window="#f3f4f6",
    panel="#ffffff",
    raised="#e7eaee",
    text="#1d2127",
    quiet="#5b6570",
    edge="#b9c0c9",
    accent="#1b6fbf",
    good="#00805d",
    doubtful="#8f6400",
    bad="#c23b16",
    series=("#0072b2", "#b87a00", "#008a66", "#b0578a", "#8a7f00", "#c24f00", "#3f63b0", "#4d5661"),
    unmapped="#eceef1",
    exclusive="#4f9fd0",
    shared="#dd9a33",
    swapped="#9a86c4",
    changed="#000000",
)
THEMES: Final = {theme.name: theme for theme in (DARK, LIGHT)}


class Themed:
    """Part of a widget's class that says: what the widget draws itself has colours of the theme."""

    def paint(self, theme: Theme) -> None:
        """Use another theme."""
        raise NotImplementedError


def paint_all(root: QWidget, theme: Theme) -> None:
    """Let every themed widget inside of a widget use another theme."""
    for widget in root.findChildren(QWidget):
        if isinstance(widget, Themed):
            widget.paint(theme)


class Themes(QObject):
    """The theme in use.

    Args:
        application: gets the palette and the style sheet.
        name: the theme to begin with; empty for the one that the desktop prefers.

    Signals:
        changed: the new theme.
    """

    changed = Signal(object)

    def __init__(self, application: QApplication, name: str = "") -> None:
        super().__init__()
        self._application = application
        style = QStyleFactory.create("Fusion")
        if style is not None:
            application.setStyle(style)
        self.now = THEMES.get(name) or preferred(application)
        self.apply(self.now)

    def apply(self, theme: Theme) -> None:
        """Use a theme, and emit `changed`."""
        self.now = theme
        for part in (self._colour, self._style, self._tell):
            part()

    def toggle(self) -> None:
        """Switch between dark and light, in three events: each widget is styled anew, which takes a while."""
        self.now = LIGHT if self.now.dark else DARK
        for window in self._application.topLevelWidgets():
            window.setUpdatesEnabled(False)  # nobody sees the steps
        for part in (self._colour, self._style, self._tell, self._show):
            QTimer.singleShot(0, self, part)

    def _colour(self) -> None:
        # Without the old style sheet first, Qt takes two to three times as long for the new one.
        self._application.setStyleSheet("")
        self._application.setPalette(palette(self.now))

    def _style(self) -> None:
        self._application.setStyleSheet(style_sheet(self.now))

    def _tell(self) -> None:
        self.changed.emit(self.now)

    def _show(self) -> None:
        for window in self._application.topLevelWidgets():
            window.setUpdatesEnabled(True)


def preferred(application: QApplication) -> Theme:
    """The theme that the desktop prefers; light if it does not say."""
    from PySide6.QtCore import Qt

    return DARK if application.styleHints().colorScheme() == Qt.ColorScheme.Dark else LIGHT


def palette(theme: Theme) -> QPalette:
    """Qt's palette of a theme."""
    role = QPalette.ColorRole
    roles = {
        role.Window: theme.window,
        role.WindowText: theme.text,
        role.Base: theme.panel,
        role.AlternateBase: theme.raised,
        role.Text: theme.text,
        role.Button: theme.raised,
        role.ButtonText: theme.text,
        role.BrightText: theme.bad,
        role.Highlight: theme.accent,
        role.HighlightedText: "#ffffff",
        role.ToolTipBase: theme.raised,
        role.ToolTipText: theme.text,
        role.PlaceholderText: theme.quiet,
        role.Link: theme.accent,
        role.Light: theme.raised,
        role.Midlight: theme.edge,
        role.Mid: theme.edge,
        role.Dark: theme.edge,
    }
    made = QPalette()
    for which, colour in roles.items():
        made.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, which, QColor(theme.quiet))
    return made


def style_sheet(theme: Theme) -> str:
    """The style sheet: corrections of Fusion on dark surfaces, and the roles of FolioLab's own widgets."""
    return f"""
    QToolTip {{ color: {theme.text}; background: {theme.raised}; border: 1px solid {theme.edge}; padding: 3px; }}
    QDockWidget::title {{ background: {theme.window}; padding: 5px 8px; }}
    QMainWindow::separator {{ background: {theme.edge}; width: 1px; height: 1px; }}
    QCheckBox::indicator:unchecked, QListView::indicator:unchecked, QTreeView::indicator:unchecked {{
        border: 1px solid {theme.quiet}; border-radius: 2px; background: {theme.panel}; }}
    QHeaderView::section {{ background: {theme.raised}; padding: 4px 6px; border: 0;
        border-right: 1px solid {theme.edge}; border-bottom: 1px solid {theme.edge}; }}
    QTableView, QTreeView, QListView {{ gridline-color: {theme.edge}; }}
    QLabel[role="title"] {{ font-size: 15pt; font-weight: 600; }}
    QLabel[role="heading"] {{ font-weight: 600; }}
    QLabel[role="quiet"] {{ color: {theme.quiet}; }}
    QLabel[role="good"] {{ color: {theme.good}; font-weight: 600; }}
    QLabel[role="doubtful"] {{ color: {theme.doubtful}; font-weight: 600; }}
    QLabel[role="bad"] {{ color: {theme.bad}; font-weight: 600; }}
    QPushButton[role="primary"] {{ background: {theme.accent}; color: #ffffff; border: 1px solid {theme.accent};
        border-radius: 4px; padding: 6px 16px; font-weight: 600; }}
    QPushButton[role="primary"]:focus {{ border: 2px solid {theme.text}; }}
    QToolBar#workspaces {{ background: {theme.window}; border: 0; border-right: 1px solid {theme.edge}; spacing: 2px; }}
    QToolBar#workspaces QToolButton {{ padding: 8px 6px; border: 0; border-left: 3px solid transparent;
        min-width: 64px; }}
    QToolBar#workspaces QToolButton:checked {{ border-left: 3px solid {theme.accent}; background: {theme.raised}; }}
    QToolBar#workspaces QToolButton:hover, QToolBar#workspaces QToolButton:focus {{ background: {theme.raised}; }}
    QFrame[role="notice"] {{ background: {theme.raised}; border: 1px solid {theme.edge}; border-radius: 5px; }}
    QFrame[role="guide"] {{ background: {theme.raised}; border: 0; border-bottom: 2px solid {theme.accent}; }}
    QFrame[role="card"] {{ background: {theme.panel}; border: 1px solid {theme.edge}; border-radius: 6px; }}
    """

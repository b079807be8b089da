"""The program with its window: made, shown, and left in order."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from PySide6.QtCore import QMessageLogContext, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from foliolab.gui.garbage import Collector
from foliolab.gui.window.library import Library
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.theme import Themes
from foliolab.gui.window.window import Window
from foliolab.gui.window.workspace import Workspace

NO_WINDOW: Final = 3
NOISE: Final = ("This plugin does not support",)
DESKTOP_FILE: Final = "foliolab"
ICON: Final = Path(__file__).parent / "desktop" / "foliolab.svg"


def start(files: Sequence[Path], plugins: Sequence[Path]) -> int:
    """Open the window with these files, and return when it is closed."""
    qInstallMessageHandler(_heard)
    application = QApplication([sys.argv[0]])
    application.setApplicationName("FolioLab")
    application.setOrganizationName("foliolab")
    application.setDesktopFileName(DESKTOP_FILE)
    window = make(application, [str(path) for path in plugins])
    application.setWindowIcon(QIcon(str(ICON)))
    sys.excepthook = Excuse(window).hook
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C in the terminal that it was started from
    collector = Collector()
    window.show()
    if files:
        QTimer.singleShot(0, window, _Later(window, files).open)
    try:
        return application.exec()
    finally:
        collector.stop()


def make(application: QApplication, plugins: Sequence[str] = (), settings: Settings | None = None) -> Window:
    """The window with all workspaces, not shown yet."""
    settings = Settings() if settings is None else settings
    themes = Themes(application, settings.text("window/theme"))
    kept = [path for path in settings.texts("window/policies") if os.path.isfile(path)]
    return Window(settings, themes, Library([*kept, *plugins]), workspaces())


def workspaces() -> list[type[Workspace]]:
    """The workspaces, home first."""
    from foliolab.gui.benchmark.workspace import BenchmarkWorkspace
    from foliolab.gui.compare.workspace import CompareWorkspace
    from foliolab.gui.explore.workspace import ExploreWorkspace
    from foliolab.gui.policies.workspace import PoliciesWorkspace
    from foliolab.gui.verify.workspace import VerifyWorkspace

    return [CompareWorkspace, ExploreWorkspace, BenchmarkWorkspace, VerifyWorkspace, PoliciesWorkspace]


class _Later:
    """Opens files once the window is there."""

    def __init__(self, window: Window, files: Sequence[Path]) -> None:
        self._window = window
        self._files = files

    def open(self) -> None:
        """Open them."""
        for path in self._files:
            self._window.open(path)


class Excuse:
    """A defect becomes a notice with its traceback: never a lost run."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def hook(self, kind: type[BaseException], fault: BaseException, where: TracebackType | None) -> None:
        """Show it, and print it."""
        text = "".join(traceback.format_exception(kind, fault, where))
        sys.stderr.write(text)
        self._window.notices.say(f"unexpected {kind.__name__}: {fault}; please report it", "error", text)


def _heard(kind: QtMsgType, context: QMessageLogContext, message: str) -> None:
    """Qt's own messages; its abort becomes one sentence."""
    if kind == QtMsgType.QtFatalMsg:
        first = (message or "Qt gave no reason").splitlines()[0]
        sys.stderr.write(f"foliolab: no window can open here: {first}\n  without a window: foliolab compare\n")
        sys.stderr.flush()
        os._exit(NO_WINDOW)
    if not any(noise in (message or "") for noise in NOISE):
        sys.stderr.write(f"{message}\n")

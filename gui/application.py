"""Makes the Qt application and its window, and runs it."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final

from PySide6.QtCore import QMessageLogContext, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from foliolab.framework.escaping import visible
from foliolab.framework.isolation.signals import STOPS
from foliolab.gui.ahead import AHEAD
from foliolab.gui.garbage import Collector
from foliolab.gui.main_window import Window
from foliolab.gui.window import session
from foliolab.gui.window.jobs import Jobs
from foliolab.gui.window.library import Library
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.theme import Themes
from foliolab.gui.window.unpickling import refuse_pickles
from foliolab.gui.window.workspace import Workspace

NO_WINDOW: Final = 3
SOON: Final = 20
"""Milliseconds until it is looked again whether all policies are loaded."""
NOISE: Final = ("This plugin does not support",)
"""Parts of messages of Qt that are not shown."""
DESKTOP_FILE: Final = "foliolab"
ICON: Final = Path(__file__).parent / "desktop" / "foliolab.svg"


def start(files: Sequence[Path], plugins: Sequence[Path]) -> int:
    """Open the window with these files, and run until it is closed.

    Args:
        files: to open in the window.
        plugins: policy files to load and watch.

    Returns:
        the exit code.
    """
    refuse_pickles()
    qInstallMessageHandler(_on_qt_message)
    application = QApplication([sys.argv[0]])
    application.setApplicationName("FolioLab")
    application.setOrganizationName("foliolab")
    application.setDesktopFileName(DESKTOP_FILE)
    window = make(application, [str(path) for path in plugins])
    application.setWindowIcon(QIcon(str(ICON)))
    sys.excepthook = DefectReporter(window).hook
    for number in STOPS:  # Qt's loop runs no Python; the window's jobs and folders end with the process
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    collector = Collector()
    window.show()
    QTimer.singleShot(0, window, AHEAD.begin)
    if files:
        QTimer.singleShot(0, window, partial(_open, window, files))
    try:
        return application.exec()
    finally:
        AHEAD.shut()
        collector.stop()


def make(application: QApplication, plugins: Sequence[str] = (), settings: Settings | None = None) -> Window:
    """Make the window with all workspaces, without showing it."""
    refuse_pickles()
    settings = Settings() if settings is None else settings
    themes = Themes(application, settings.text("window/theme"))
    jobs = Jobs(application)
    ended_well = session.begin(settings)
    window = Window(settings, themes, jobs, Library(plugins, jobs), workspaces())
    window.offered_files.offer(together=ended_well)
    return window


def workspaces() -> list[type[Workspace]]:
    """The classes of the workspaces, the home screen first."""
    from foliolab.gui.benchmark.workspace import BenchmarkWorkspace
    from foliolab.gui.compare.workspace import CompareWorkspace
    from foliolab.gui.explore.workspace import ExploreWorkspace
    from foliolab.gui.policies.workspace import PoliciesWorkspace
    from foliolab.gui.verify.workspace import VerifyWorkspace

    return [CompareWorkspace, ExploreWorkspace, BenchmarkWorkspace, VerifyWorkspace, PoliciesWorkspace]


def _open(window: Window, files: Sequence[Path]) -> None:
    """Open files, as soon as the policies that they may need are loaded; a user may have gone elsewhere later."""
    if not window.library.settled:
        QTimer.singleShot(SOON, window, partial(_open, window, files))
        return
    for path in files:
        window.open(path)


class DefectReporter:
    """Shows an unexpected exception as a notice with its traceback, so that the window and its results stay."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def hook(self, kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
        """Show the exception, and print it; used as `sys.excepthook`."""
        text = "".join(traceback.format_exception(kind, fault, trace))
        sys.stderr.write(visible(text))
        self._window.notices.say(f"unexpected {kind.__name__}: {fault}; please report it", "error", text)


def _on_qt_message(kind: QtMsgType, context: QMessageLogContext, message: str) -> None:
    """Print a message of Qt. If Qt aborts because it cannot open a window, print one sentence and exit."""
    if kind == QtMsgType.QtFatalMsg:
        first = (message or "Qt gave no reason").splitlines()[0]
        sys.stderr.write(visible(f"foliolab: no window can open here: {first}\n  without a window: foliolab compare\n"))
        sys.stderr.flush()
        os._exit(NO_WINDOW)
    if not any(noise in (message or "") for noise in NOISE):
        sys.stderr.write(visible(f"{message}\n"))

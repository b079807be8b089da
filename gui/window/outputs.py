"""What leaves a view: pictures and tables, pages to send, print, texts and command lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QApplication, QMainWindow

from foliolab.framework.errors import FolioLabError
from foliolab.gui.window import dialogs, exporting, sharing
from foliolab.gui.window.commands import Command
from foliolab.gui.window.context_menus import text_of

if TYPE_CHECKING:
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.exporting import Exportable
    from foliolab.gui.window.notices import Notices
    from foliolab.gui.window.sharing import Shareable
    from foliolab.gui.window.workspace import Workspace


class Outputs:
    """The outputs of the workspace in front.

    Args:
        desk: has the notices.
        window: the parent of dialogs.
        here: the workspace in front.
    """

    def __init__(self, desk: Desk, window: QMainWindow, here: Callable[[], Workspace]) -> None:
        self._desk = desk
        self._window = window
        self._here = here

    def commands(self) -> list[Command]:
        """The commands."""
        return [
            Command("file.export", "&Export picture or table…", self.ask_export, "&File", ("Ctrl+E",),
                    "Save a picture or table of this view as PNG, SVG or CSV", "export"),
            Command("file.share", "S&hare as one page…", self.ask_share, "&File", ("Ctrl+Shift+H",),
                    "Write the counterexample, scenario or steps of this view as one HTML page to send", "share"),
            Command("file.print", "&Print…", self.ask_print, "&File", ("Ctrl+P",),
                    "Print the pictures and tables of this view"),
            Command("edit.text", "Copy as &text", self.copy_text, "&Edit", ("Ctrl+Alt+C",),
                    "Copy what is chosen in a table, or what a picture shows, as text"),
            Command("file.command", "&Copy the command for this view", self.copy_command, "&File",
                    ("Ctrl+Shift+C",), "Copy the command line that repeats this view", "copy"),
        ]  # fmt: skip

    # -- pictures and tables ---------------------------------------------------------------------------
    def ask_export(self) -> None:
        """Ask what to export and to which file, and export it."""
        here, settings = self._here(), self._desk.settings
        offered = list(here.exportables())
        if not offered:
            self._desk.notices.say("this view has no picture or table to export yet")
            return
        chosen = exporting.ask(self._window, offered, Path(settings.text("window/exports")), here.name)
        if chosen is not None:
            self.export(*chosen)

    def export(self, what: Exportable, path: Path) -> None:
        """Write a picture or table; a notice says where it is, or why it could not be written."""
        try:
            exporting.export(what, path)
        except FolioLabError as fault:
            self._desk.notices.fault(fault)
            return
        self._desk.settings.keep("window/exports", str(path.parent))
        self._desk.notices.say(f"{what.title} written to {path}")

    def ask_print(self) -> None:
        """Ask for a printer, and print the pictures and tables of this view."""
        from PySide6.QtPrintSupport import QPrintDialog, QPrinter

        from foliolab.gui.window import printing

        offered = list(self._here().exportables())
        if not offered:
            self._desk.notices.say("this view has no picture or table to print yet")
            return
        printer = QPrinter(QPrinter.PrinterMode.HighResolution)
        if QPrintDialog(printer, self._window).exec() == QPrintDialog.DialogCode.Accepted:
            try:
                printing.print_all(offered, printer)
            except FolioLabError as fault:
                self._desk.notices.fault(fault)

    # -- pages to send ---------------------------------------------------------------------------------
    def ask_share(self) -> None:
        """Ask for a file, and write what this view shows as a page to send."""
        notices = self._desk.notices
        try:
            what = self._here().shareable()
        except FolioLabError as fault:
            notices.fault(fault)
            return
        if what is None:
            notices.say("this view has nothing to share yet: show a counterexample or explore something first")
            return
        name = f"{what.name}.html"
        path = dialogs.ask_save(self._window, self._desk.settings, "Share as one page", name, sharing.KIND)
        if path is not None:
            self.share(what, path)

    def share(self, what: Shareable, path: Path) -> None:
        """Write a page in a job; a notice says where it is, or why it could not be written."""
        job = self._desk.jobs.start(f"Writing {path.name}", sharing.share, what, path)
        job.answered.connect(self._shared)
        job.failed.connect(self._desk.notices.fault)

    def _shared(self, path: Path) -> None:
        text, notices = f"{path} is written: one page that needs nothing else", self._desk.notices
        notices.say(text, offer=("Open it", partial(open_outside, path, notices)))

    # -- the clipboard ---------------------------------------------------------------------------------
    def copy_text(self) -> None:
        """Copy what the widget that was pointed at shows, or that has the focus."""
        text = text_of(self._desk.commands.pointed or QApplication.focusWidget())
        if text:
            QGuiApplication.clipboard().setText(text)
            self._window.statusBar().showMessage(f"Copied as text: {text.count(chr(10)) + 1:,} lines", 4000)
        else:
            self._desk.notices.say("there is no text to copy here: choose a table or a picture first")

    def copy_command(self) -> None:
        """Copy the command line that repeats this view."""
        line = self._here().command_line
        if line:
            QGuiApplication.clipboard().setText(line)
            self._window.statusBar().showMessage(f"Copied: {line}", 8000)
        else:
            self._desk.notices.say("no command repeats this view: choose a policy or a cell first")


def open_outside(path: Path, notices: Notices) -> None:
    """Open a file in the program that the desktop has for it; a notice says if there is none."""
    if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))):
        notices.say(f"no program here opens {path}", "warning")

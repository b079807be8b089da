"""The inspector: for each policy the folio to scale, what changed, and the line of text that did it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QSplitter, QTabBar, QVBoxLayout, QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.folio_detail import FieldDetail, FolioDetail
from foliolab.framework.explore.page_detail import PageDetail
from foliolab.gui.inspector import words
from foliolab.gui.inspector.accesslist import AccessList
from foliolab.gui.inspector.functions import function_at
from foliolab.gui.inspector.inspected import Inspected, InspectPage
from foliolab.gui.inspector.picture import FolioPicture
from foliolab.gui.widgets.source_view import SourceView
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable, Row
from foliolab.gui.window.theme import Theme

if TYPE_CHECKING:
    from foliolab.framework.explore.session_process import SessionProcess
    from foliolab.framework.explore.session_thread import SessionThread

PULL: Final = 15
"""Milliseconds between two looks whether the session has answered."""
EMPTY: Final = "Choose a page on a map, or a step, to see its folio."
MARGIN: Final = 8


class Inspector(QWidget):
    """A folio under each policy of a run.

    Args:
        desk: of the window; its theme is followed.

    Signals:
        access_chosen: the number of an access (in the shown `Inspected.accesses`) that the user chose.
    """

    access_chosen = Signal(int)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._found: tuple[Inspected, ...] = ()
        self._policy = ""
        self._answer: Future[list[Inspected]] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(PULL)
        self._timer.timeout.connect(self._pull)
        self._bring = QTimer(self)
        self._bring.setInterval(0)
        self._bring.setSingleShot(True)
        self._bring.timeout.connect(self._first_change)
        self._build(desk.themes.now)
        desk.themes.changed.connect(self.paint)
        self.clear()

    def _build(self, theme: Theme) -> None:
        self.tabs = QTabBar()
        self.tabs.setAccessibleName("Policy that is inspected")
        self.tabs.setExpanding(False)
        self.tabs.setUsesScrollButtons(True)
        self.tabs.currentChanged.connect(self._tab)
        self.verdict = QLabel()
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.told.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.picture = FolioPicture(theme)
        self.picture.chosen.connect(self._chosen)
        self.sheet = QScrollArea()
        self.sheet.setWidgetResizable(True)
        self.sheet.setFrameShape(QFrame.Shape.NoFrame)
        self.sheet.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.sheet.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.sheet.setWidget(self.picture)
        self.field = QLabel()
        self.field.setWordWrap(True)
        self.field.setAccessibleName("The chosen field")
        self.accesses = AccessList()
        self.accesses.chosen.connect(self._access)
        self.stopped = QLabel()
        self.stopped.setWordWrap(True)
        self.stopped.setProperty("role", "quiet")
        self.where = QLabel()
        self.where.setProperty("role", "quiet")
        self.source = SourceView(theme)
        self._arrange()

    def _arrange(self) -> None:
        upper, lower = self._column(self.sheet, self.field), self._column(self.where, self.source)
        middle = self._column(self.accesses, self.stopped)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setChildrenCollapsible(False)
        for part, stretch in ((upper, 5), (middle, 2), (lower, 3)):
            self.splitter.addWidget(part)
            self.splitter.setStretchFactor(self.splitter.count() - 1, stretch)
        self.splitter.setSizes([460, 150, 220])
        self.sheet.setMinimumHeight(120)
        self.accesses.setMinimumHeight(64)
        self.source.setMinimumHeight(64)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        for part in (self.tabs, self.verdict, self.told):
            layout.addWidget(part)
        layout.addWidget(self.splitter, 1)
        self.setMinimumWidth(320)

    @staticmethod
    def _column(*parts: QWidget) -> QWidget:
        made = QWidget()
        layout = QVBoxLayout(made)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(3)
        for part in parts:
            layout.addWidget(part, 0 if isinstance(part, QLabel) else 1)
        return made

    # -- what it shows ---------------------------------------------------------------------------------
    def look(self, worker: SessionProcess | SessionThread, mm: int, page: int, accesses: bool = True) -> None:
        """Inspect a page of a running session; it is shown as soon as the session has answered.

        Args:
            worker: runs the session.
            mm, page: which page.
            accesses: whether the last step's accesses are wanted, too; not while it plays: they take time.
        """
        if self._answer is not None:
            self._answer.cancel()
        self._answer = worker.ask(InspectPage(mm, page, accesses))
        self._timer.start()

    def show_page(self, detail: PageDetail, found: Sequence[Inspected] = ()) -> None:
        """Show a page.

        Args:
            detail: the page under the policy whose map was clicked.
            found: the same page under every policy (see `InspectPage`); without it only the sentence is shown.
        """
        self.show_found(found or [Inspected("", detail.description, detail.verdict, detail)])

    def show_found(self, found: Sequence[Inspected]) -> None:
        """Show what was inspected; the policy that was looked at stays where it is among them."""
        self._found = tuple(found)
        names = [one.policy for one in self._found]
        with QSignalBlocker(self.tabs):
            if names != [self.tabs.tabData(at) for at in range(self.tabs.count())]:
                while self.tabs.count():
                    self.tabs.removeTab(0)
                for at, name in enumerate(names):
                    self.tabs.addTab(name)
                    self.tabs.setTabData(at, name)
            for at, one in enumerate(self._found):
                sign = words.SIGN.get(one.verdict, "")
                self.tabs.setTabText(at, f"{one.policy} {sign}".strip())
                self.tabs.setTabToolTip(at, one.description)
            if self._policy in names:
                self.tabs.setCurrentIndex(names.index(self._policy))
        self.tabs.setVisible(len(names) > 1)
        self._show()

    def show_after(self, folio: FolioDetail, at: int) -> None:
        """Show the folio as it was after an access of the step.

        Args:
            folio: such as `Accesses.folio` gives.
            at: the access, by its place in `now.accesses`.
        """
        now = self.now
        if now is not None:
            changed = replace(now, folio=folio, at=at)
            self.show_found([changed if one is now else one for one in self._found])

    def clear(self) -> None:
        """Show that nothing is chosen."""
        self.shut()
        self._found = ()
        while self.tabs.count():
            self.tabs.removeTab(0)
        self.tabs.hide()
        self._show()

    @property
    def now(self) -> Inspected | None:
        """What is shown: of the policy whose tab is in front."""
        at = max(self.tabs.currentIndex(), 0)
        return self._found[at] if at < len(self._found) else None

    def paint(self, theme: Theme) -> None:
        """Use another theme's colours."""
        self.picture.paint(theme)
        self.source.paint(theme)

    def shut(self) -> None:
        """Wait for no answer any more."""
        self._timer.stop()
        self._bring.stop()
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None

    def exportables(self) -> Sequence[Exportable]:
        """The picture of the folio with its fields as a table, and the accesses."""
        now = self.now
        if now is None or now.folio is None:
            return ()
        found = [Exportable("folio", f"Struct folio under {now.policy}", self.picture, self._fields)]
        if now.accesses:
            found.append(Exportable("accesses", "Memory accesses of the step", table=self._accesses))
        return found

    # -- inside ----------------------------------------------------------------------------------------
    def _pull(self) -> None:
        """Take the answer of the session, once it is there."""
        answer = self._answer
        if answer is None or not answer.done():
            return
        self.shut()
        if answer.cancelled():
            return
        fault = answer.exception()
        if fault is None:
            self.show_found(answer.result())
        elif isinstance(fault, FolioLabError):
            self.show_found([Inspected("", str(fault))])
        else:
            raise fault

    def _tab(self, at: int) -> None:
        if 0 <= at < len(self._found):
            self._policy = self._found[at].policy
            self._show()

    def _show(self) -> None:
        now = self.now
        self._say(now)
        self.picture.show_folio(now.policy if now else "", now.folio if now else None)
        self.accesses.show_accesses(now.accesses if now else (), now.at if now else -1)
        self.stopped.setText(now.stopped if now else "")
        self.stopped.setVisible(bool(now and now.stopped))
        if self.picture.field is None:
            self._bring.start()  # once the picture has its new height
        self._explain()
        self._place(now.at if now else -1)
        self.splitter.setVisible(bool(now and (now.folio is not None or now.accesses)))

    def _say(self, now: Inspected | None) -> None:
        verdict = now.verdict if now else ""
        self.verdict.setText(f"{words.SIGN[verdict]} {verdict}" if verdict in words.SIGN else "")
        self.verdict.setVisible(bool(self.verdict.text()))
        if self.verdict.property("role") != words.ROLE.get(verdict, ""):
            self.verdict.setProperty("role", words.ROLE.get(verdict, ""))
            self.verdict.style().unpolish(self.verdict)
            self.verdict.style().polish(self.verdict)
        self.told.setText(now.description if now else EMPTY)
        self.setAccessibleDescription(self.told.text())

    def _first_change(self) -> None:
        """Bring the first field of the policy that the step changed into sight, else the policy's first one."""
        now = self.now
        if now is None or now.folio is None:
            return
        mine = [one for one in now.folio.fields if one.owner == "policy"]
        area = self.picture.area_of(next((one for one in mine if one.changed), mine[0])) if mine else None
        if area is not None:
            self.sheet.ensureVisible(area.center().x(), area.center().y(), 0, self.sheet.viewport().height() // 3)

    def _chosen(self, field: FieldDetail) -> None:
        area = self.picture.area_of(field)
        self.sheet.ensureVisible(area.center().x(), area.center().y(), 0, area.height())
        self._explain()

    def _explain(self) -> None:
        now, field = self.now, self.picture.field
        if now is not None and field is not None:
            self.field.setText(words.sentence(field, now.policy))
        elif now is not None and now.folio is not None:
            nr = sum(1 for one in now.folio.changes if one.stored is None or not one.stored.overlays)
            changes = f"The step changed {nr} field{'s' if nr != 1 else ''} (outlined). " if nr else ""
            self.field.setText(f"{changes}Click a field, or go with the arrows; Enter copies it.")
        else:
            self.field.setText("")

    def _access(self, at: int) -> None:
        self._place(at)
        self.access_chosen.emit(at)

    def _place(self, at: int) -> None:
        """Show the function of an access, its line marked."""
        now = self.now
        if now is None or not 0 <= at < len(now.accesses):
            self.where.setText("No access of this step is known." if now and not now.accesses else "")
            self.source.show_source("")
            return
        access = now.accesses[at]
        function = function_at(access.file, access.line)
        self.where.setText(f"{function.name or 'module'}  ·  {Path(access.file).name}:{access.line}")
        self.where.setToolTip(access.file)
        self.source.show_source(function.text, function.first_line, access.file)
        self.source.mark(access.line, "step", access.description)

    def _fields(self) -> tuple[Sequence[str], Sequence[Row]]:
        now = self.now
        return words.table(now.folio) if now is not None and now.folio is not None else ((), ())

    def _accesses(self) -> tuple[Sequence[str], Sequence[Row]]:
        rows = [
            (
                at,
                one.thread if one.thread >= 0 else "",
                one.op,
                one.field,
                one.old,
                one.new,
                one.file,
                one.line,
                one.code,
            )
            for at, one in enumerate(self.now.accesses if self.now else ())
        ]
        return ("number", "thread", "access", "field", "old", "new", "file", "line", "text"), rows

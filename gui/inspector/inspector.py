"""The inspector: for each policy the folio to scale, its changed fields, and the line of text that changed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QTabBar, QWidget

from foliolab.framework.explore.folio_detail import FieldDetail, FolioDetail
from foliolab.framework.report.functions import function_at
from foliolab.gui.inspector import field_text
from foliolab.gui.inspector.access_list import AccessList
from foliolab.gui.inspector.folio_picture import FolioPicture
from foliolab.gui.inspector.inspected import NO_ANSWER, Inspected
from foliolab.gui.inspector.why import Why
from foliolab.gui.widgets.basics import set_role
from foliolab.gui.widgets.source_view import SourceView
from foliolab.gui.window.building import column, label, named, page, splitter
from foliolab.gui.window.context_menus import ContextMenu
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable, Row
from foliolab.gui.window.plain import Wrapped, tip
from foliolab.gui.window.theme import Theme

EMPTY: Final = "Choose a page on a map, or a step, to see its folio."


class Inspector(QWidget):
    """Shows a folio under each policy of a run, one policy at a time.

    Args:
        desk: the window's desk.

    Signals:
        access_chosen: (index in `now.accesses`): the user chose an access.
        writer_wanted: (field): the user clicked a field, or pressed Enter: go to where it was last written.

    Attributes:
        policy: the policy to show, if it is among those of the run.
    """

    access_chosen = Signal(int)
    writer_wanted = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._found: tuple[Inspected, ...] = ()
        self.policy = ""
        self._scroll_later = QTimer(self, singleShot=True, interval=0)
        self._scroll_later.timeout.connect(self._scroll_to_change)
        self._build(desk.themes.now)
        self.clear()

    def _build(self, theme: Theme) -> None:
        self.tabs = named(QTabBar(), "Policy that is inspected")
        self.tabs.setExpanding(False)
        self.tabs.currentChanged.connect(self._tab)
        self.verdict, self.summary = label(), label(wraps=True, selectable=True)
        self.why = Why()
        self.picture = FolioPicture(theme)
        self.picture.chosen.connect(self._chosen)
        self.picture.writer_wanted.connect(self.writer_wanted)
        self.scroll_area = QScrollArea(widgetResizable=True)
        self.scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll_area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.scroll_area.setWidget(self.picture)
        self.field = named(Wrapped(), "The chosen field")
        self.accesses = AccessList()
        self.accesses.remember(self._desk.settings)
        self.accesses.chosen.connect(self._access)
        self.stopped, self.location = Wrapped(), label(role="quiet")
        self.stopped.setProperty("role", "quiet")
        self.source = SourceView(theme)
        self._arrange()

    def _arrange(self) -> None:
        upper = page((self.scroll_area, 1), self.field, margins=(0, 2, 0, 2), spacing=3)
        middle = page((self.accesses, 1), self.stopped, margins=(0, 2, 0, 2), spacing=3)
        lower = page(self.location, (self.source, 1), margins=(0, 2, 0, 2), spacing=3)
        self.splitter = splitter(Qt.Orientation.Vertical, (upper, 5), (middle, 2), (lower, 3), sizes=(460, 150, 220))
        self.scroll_area.setMinimumHeight(96)
        self.accesses.setMinimumHeight(56)
        self.source.setMinimumHeight(48)
        column(self.tabs, self.verdict, self.summary, self.why, (self.splitter, 1), of=self, margins=(8, 8, 8, 8))
        self.setMinimumWidth(320)

    # -- content ---------------------------------------------------------------------------------------
    def show_found(self, found: Sequence[Inspected]) -> None:
        """Show a folio under several policies; the policy that was shown before stays chosen."""
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
                sign = field_text.SIGN.get(one.verdict, "")
                self.tabs.setTabText(at, f"{one.policy} {sign}".strip())
                self.tabs.setTabToolTip(at, one.description)
            if self.policy in names:
                self.tabs.setCurrentIndex(names.index(self.policy))
        self.tabs.setVisible(len(names) > 1)
        self._show()

    def show_after(self, folio: FolioDetail, at: int) -> None:
        """Show the folio as it was after an access of the step.

        Args:
            folio: the folio after that access (see `Accesses.folio`).
            at: index of the access in `now.accesses`.
        """
        now = self.now
        if now is not None:
            changed = replace(now, folio=folio, at=at)
            self.show_found([changed if one is now else one for one in self._found])

    def say(self, text: str) -> None:
        """Say what became of the search for a step."""
        self.why.say(text)
        if self.why.isHidden():
            self.field.setText(text)

    def clear(self) -> None:
        """Show that nothing is chosen."""
        self._scroll_later.stop()
        self._found = ()
        while self.tabs.count():
            self.tabs.removeTab(0)
        self.tabs.hide()
        self._show()

    @property
    def now(self) -> Inspected | None:
        """What is shown, under the policy of the current tab; None if nothing is."""
        at = max(self.tabs.currentIndex(), 0)
        return self._found[at] if at < len(self._found) else None

    def go_to_origin(self) -> None:
        """Go to the step that set what the chosen line of the answer read."""
        if self.why.answer.reasons:
            self.why.go()
        else:
            self._desk.notices.say("no answer is inspected: choose a page or a step first")

    def go_to_writer(self) -> None:
        """Go to where the chosen field was last written."""
        if self.picture.field is not None:
            self.writer_wanted.emit(self.picture.field)
        else:
            self._desk.notices.say("no field is chosen: choose one in the picture of the folio first")

    def offer_menus(self, workspace: str) -> None:
        """Give its parts context menus.

        Args:
            workspace: the name of the one that has the commands.
        """
        commands = self._desk.commands
        origin, writer = f"{workspace}.origin", f"{workspace}.writer"
        ContextMenu(commands, self.picture, (writer, origin, "file.share"), self.picture.choose_at)
        for part in (self.accesses, self.why.rows):
            ContextMenu(commands, part, (origin, "file.share"))

    def exportables(self) -> Sequence[Exportable]:
        """The picture of the folio with a table of its fields, and the accesses."""
        now = self.now
        if now is None or now.folio is None:
            return ()
        found = [Exportable("folio", f"Struct folio under {now.policy}", self.picture, self._fields)]
        if now.accesses:
            found.append(Exportable("accesses", "Memory accesses of the step", table=self._accesses))
        return found

    # -- parts -----------------------------------------------------------------------------------------
    def _tab(self, at: int) -> None:
        if 0 <= at < len(self._found):
            self.policy = self._found[at].policy
            self._show()

    def _show(self) -> None:
        now = self.now
        self._say(now)
        self.why.show_answer(now.policy if now else "", now.answer if now else NO_ANSWER)
        self.picture.show_folio(now.policy if now else "", now.folio if now else None)
        self.accesses.show_accesses(now.accesses if now else (), now.at if now else -1)
        self.stopped.setText(now.stopped if now else "")
        self.stopped.setVisible(bool(now and now.stopped))
        if self.picture.field is None:
            self._scroll_later.start()  # after Qt has given the picture its new height
        self._explain()
        self._show_line(now.at if now else -1)
        self.splitter.setVisible(bool(now and (now.folio is not None or now.accesses)))

    def _say(self, now: Inspected | None) -> None:
        verdict = now.verdict if now else ""
        self.verdict.setText(f"{field_text.SIGN[verdict]} {verdict}" if verdict in field_text.SIGN else "")
        self.verdict.setVisible(bool(self.verdict.text()))
        if self.verdict.property("role") != field_text.ROLE.get(verdict, ""):
            set_role(self.verdict, field_text.ROLE.get(verdict, ""))
        self.summary.setText(now.description if now else EMPTY)
        self.setAccessibleDescription(self.summary.text())

    def _scroll_to_change(self) -> None:
        """Scroll to the policy's first field that the step changed, or else to its first field."""
        now = self.now
        if now is None or now.folio is None:
            return
        fields = [field for field in now.folio.fields if field.owner == "policy"]
        area = self.picture.area_of(next((one for one in fields if one.changed), fields[0])) if fields else None
        if area is not None:
            self.scroll_area.ensureVisible(
                area.center().x(), area.center().y(), 0, self.scroll_area.viewport().height() // 3
            )

    def _chosen(self, field: FieldDetail) -> None:
        area = self.picture.area_of(field)
        self.scroll_area.ensureVisible(area.center().x(), area.center().y(), 0, area.height())
        self._explain()

    def _explain(self) -> None:
        now, field = self.now, self.picture.field
        if now is not None and field is not None:
            self.field.setText(field_text.sentence(field, now.policy))
        elif now is not None and now.folio is not None:
            nr = sum(1 for one in now.folio.changes if one.stored is None or not one.stored.overlays)
            changes = f"The step changed {nr} field{'s' if nr != 1 else ''} (outlined). " if nr else ""
            self.field.setText(f"{changes}A click on a field goes to where it was last written; so does Enter.")
        else:
            self.field.setText("")

    def _access(self, at: int) -> None:
        self._show_line(at)
        self.access_chosen.emit(at)

    def _show_line(self, at: int) -> None:
        """Show the function of an access, its line marked."""
        now = self.now
        if now is None or not 0 <= at < len(now.accesses):
            self.location.setText("No accesses of this step are recorded." if now and not now.accesses else "")
            self.source.show_source("")
            return
        access = now.accesses[at]
        function = function_at(access.file, access.line)
        self.location.setText(f"{function.name or 'module'}  ·  {Path(access.file).name}:{access.line}")
        self.location.setToolTip(tip(access.file))
        self.source.show_source(function.text, function.first_line, access.file)
        self.source.mark(access.line, "step", access.description)

    def _fields(self) -> tuple[Sequence[str], Sequence[Row]]:
        now = self.now
        return field_text.table(now.folio) if now is not None and now.folio is not None else ((), ())

    def _accesses(self) -> tuple[Sequence[str], Sequence[Row]]:
        """The accesses of the step; the kernel's own text is under GPL-2.0, and is left out."""
        from foliolab.framework.csource.choices import tree_around  # few pictures are exported

        accesses = self.now.accesses if self.now else ()
        kernels = {file for file in {one.file for one in accesses} if tree_around(Path(file)) is not None}
        rows = []
        for at, one in enumerate(accesses):
            thread, text = one.thread if one.thread >= 0 else "", "" if one.file in kernels else one.code
            rows.append((at, thread, one.op, one.field, one.old, one.new, one.file, one.line, text))
        return ("number", "thread", "access", "field", "old", "new", "file", "line", "text"), rows

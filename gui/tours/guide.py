"""The guide of a tour: a bar with the text of the stop, which waits until the stop is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QPushButton, QScrollArea, QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.gui.tours.ahead import compile_ahead
from foliolab.gui.tours.spotlight import Spotlight
from foliolab.gui.tours.stop import Seen, Stop, Tour
from foliolab.gui.tours.working_copy import working_copy
from foliolab.gui.widgets.basics import button
from foliolab.gui.window.building import column, label, primary, row, tool_button
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.plain import Wrapped

LOOK: Final = 150
"""Milliseconds from one look at whether the stop is done to the next."""
NARROW: Final = 700
"""Pixels below which the guide has fewer buttons."""
OTHERS: Final = 400
"""Pixels of the window's height that the rest needs; the text may have a part of what is beyond."""


class Guide(QFrame):
    """Leads through the stops of a tour; hidden while no tour runs.

    A stop waits for its condition: Next can be pressed once it is met, or Show me has met it. A tour that is left goes
    on at the same stop when it is started again, also in another session.

    Args:
        desk: opens workspaces and sends them what a stop shows.
        window: holds the workspaces; the frame is drawn over it.
        seen: what a workspace shows, by its name.
        folder: where the copies of examples are.

    Attributes:
        tour: the tour that runs; None while none does.
        example: the copy of its example.
        at: the number of the stop that is shown.
        done: whether it is done.
        buttons: all of it, from left to right.
    """

    def __init__(self, desk: Desk, window: QWidget, seen: Callable[[str], Seen], folder: Path) -> None:
        super().__init__()
        self._desk, self._window, self._seen, self._folder = desk, window, seen, folder
        self._spotlight = Spotlight(window)
        self._stops: Sequence[Stop] = ()
        self._compiled: list[Tour] = []
        self.tour: Tour | None = None
        self.example = folder
        self.at = 0
        self.done = False
        self._timer = QTimer(self, interval=LOOK)
        self._timer.timeout.connect(self._look)
        self.setProperty("role", "guide")
        self.setAccessibleName("Tour")
        self.title, self.text, self.state = Wrapped(), Wrapped(), label(role="quiet")
        self.title.setProperty("role", "heading")
        self.again = button("Start over", "Begin the tour again, with a new copy of its example", self.start_over)
        self.back, self.next = QPushButton("&Back"), primary("&Next")
        self.show_me = button("Show me", "Do what this stop asks for", self.do_it)
        self.close_ = tool_button("✕", "Leave the tour; it goes on here when it is started again")
        self.back.clicked.connect(self.go_back)
        self.next.clicked.connect(self.go_on)
        self.close_.clicked.connect(self.leave)
        self.buttons = (self.again, self.back, self.show_me, self.next, self.close_)
        self._area = QScrollArea(widgetResizable=True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(self.text)
        for one in (self._area.viewport(), self.text):
            one.setAutoFillBackground(False)
        line = row((self.title, 1), self.state, *self.buttons)
        column(line, self._area, of=self, margins=(14, 5, 10, 5), spacing=3)
        self.hide()

    # -- a tour ----------------------------------------------------------------------------------------
    def start(self, tour: Tour, *, anew: bool = False) -> None:
        """Start a tour, where it was left. If no installed policy fits a stop, a notice says which one is missing.

        Args:
            tour: the tour.
            anew: begin at its first stop, with a new copy of its example.
        """
        self.leave()
        at = 0 if anew else self._desk.settings.number(self._key(tour))
        try:
            example = working_copy(tour, self._folder, anew=at == 0)
            stops, policies = tour.stops(self._desk.library, example), tuple(tour.policies(self._desk.library))
            self.tour, self._stops, self.example = tour, stops, example
            begin = partial(self._begin, tour, at if 0 <= at < len(stops) else 0, policies)
            if example.suffix == ".py":
                self._desk.library.open(example, begin)
            else:
                begin("")
        except FolioLabError as fault:
            self._desk.notices.fault(fault)
            self.leave()

    def start_over(self) -> None:
        """Begin the tour again, with a new copy of its example."""
        if self.tour is not None:
            self.start(self.tour, anew=True)

    def _begin(self, tour: Tour, at: int, policies: Sequence[str], file: str) -> None:
        """Compile ahead, and show the first stop, now that the example is loaded."""
        if tour is not self.tour:
            return  # another tour was started meanwhile
        failure = self._desk.library.failure_of(file) if file else None
        if failure is not None:
            text = f"the example of the tour cannot be used: {failure.message}"
            self._desk.notices.say(text, "error", file, ("Start over", partial(self.start, tour, anew=True)))
            self._desk.library.close(file)
            self.leave()
            return
        if policies and tour not in self._compiled:
            self._compiled.append(tour)
            known = [name for name in policies if self._desk.library.usable([name])]
            files = tuple(self._desk.library.sound)
            # whether it could be compiled is said where it is used
            self._desk.jobs.start("Compiling for the tour", compile_ahead, known, files, self.example)
        self._show(at)
        self._timer.start()

    def go_on(self) -> None:
        """Go to the next stop; after the last stop the tour ends."""
        if self.at + 1 < len(self._stops):
            self._show(self.at + 1)
        elif self.tour is not None:
            self._desk.settings.keep(self._key(self.tour), 0)
            self.leave()

    def go_back(self) -> None:
        if self.at:
            self._show(self.at - 1)

    def do_it(self) -> None:
        """Do what the stop asks for."""
        stop = self._stops[self.at]
        if stop.show is not None:
            try:
                stop.show(self._desk)
            except FolioLabError as fault:
                self._desk.notices.fault(fault)

    def leave(self) -> None:
        """Hide the tour; the workspaces keep what it opened."""
        self._timer.stop()
        self.tour, self._stops = None, ()
        self.hide()
        self._spotlight.leave()

    # -- a stop ----------------------------------------------------------------------------------------
    def _show(self, at: int) -> None:
        assert self.tour is not None
        self.at, stop = at, self._stops[at]
        self._desk.settings.keep(self._key(self.tour), at)
        self.title.setText(f"{self.tour.title}  {at + 1} of {len(self._stops)}: {stop.title}")
        self.text.setText(stop.text)
        self.setAccessibleDescription(f"{stop.title}. {stop.text}")
        self.back.setEnabled(at > 0)
        self._fit()
        self.next.setText("&Next" if at + 1 < len(self._stops) else "&Done")
        self._say_done(False)
        self.show()
        if stop.ready is not None and stop.ready(self._seen(stop.workspace)):
            self._desk.go(stop.workspace)
        else:
            self._desk.send(stop.workspace, stop.opens)
        self._look()

    def _fit(self) -> None:
        """Offer to start over where there is room for it, and let a long text scroll in a small window."""
        self.again.setVisible(self.at > 0 and self.width() >= NARROW)
        high = max(self.text.heightForWidth(self._area.viewport().width()), 0)  # -1 before there is a text
        room = (self._window.height() - OTHERS) // 5
        self._area.setFixedHeight(min(high, max(room, 2 * self.fontMetrics().height())))

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _look(self) -> None:
        """Look whether the stop is done; once it is, it stays so until another one is shown."""
        stop = self._stops[self.at]
        if not self._spotlight.watches:
            self._spotlight.look(self._window.findChild(QWidget, stop.look) if stop.look else None)
        if not self.done and stop.until(self._seen(stop.workspace)):
            self._say_done(True)

    def _say_done(self, done: bool) -> None:
        if not done:
            self._spotlight.leave()
        self.done = done
        self.next.setEnabled(done)
        self.show_me.setEnabled(not done and self._stops[self.at].show is not None)
        self.state.setText("✓ done" if done else "")

    @staticmethod
    def _key(tour: Tour) -> str:
        return f"tours/{tour.name}"

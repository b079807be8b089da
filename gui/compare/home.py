"""What stands above the matrix: what it says in words, a scatter, the button that measures here, and the tours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QProgressBar, QPushButton, QSizePolicy, QWidget

from foliolab.gui.compare.scatter import Scatter
from foliolab.gui.widgets.basics import button
from foliolab.gui.window.building import column, label, named, primary, row
from foliolab.gui.window.plain import OneLine

if TYPE_CHECKING:
    from foliolab.gui.compare.scatter import Spot
    from foliolab.gui.window.theme import Theme

WHAT: Final = "FolioLab compares schemes that track who owns a large folio, on the same events and with the same clock."
FIRST_GUESS: Final = "about three minutes"
HIGHEST: Final = 460
NARROWEST: Final = 300
BESIDE: Final = 740
"""Least width for words and picture side by side."""
LEFT: Final = 430
"""Least width of the words."""


class Home(QWidget):
    """The words, the scatter and the button.

    Signals:
        wanted: everything is to be measured on this host.
        stopped: measuring is to stop.
        opened: the policy of a point of the scatter.
        timed: the workload whose times the scatter is to show.
    """

    wanted = Signal()
    stopped = Signal()
    opened = Signal(str)
    timed = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setAccessibleName("The answer")
        self.first = label(role="heading", wraps=True, selectable=True)
        self.words = label(WHAT, wraps=True, selectable=True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.badge = label("", "quiet", wraps=True)
        self.measure = named(primary("Measure here"), "Measure all policies on this host, in about three minutes")
        self.measure.clicked.connect(self.wanted)
        self.bar = named(QProgressBar(textVisible=False), "Progress of measuring")
        self.bar.setRange(0, 1000)
        self.bar.setMaximumHeight(14)
        self.left = label("", "quiet")
        self.stop = button("Stop", "Stop measuring; the answers so far stay", self.stopped.emit)
        self.scatter = Scatter(theme)
        self.scatter.opened.connect(self.opened)
        self._workloads = row(1, margins=(0, 0, 0, 0))
        self._group = QButtonGroup(self)
        self._group.buttonClicked.connect(self._chosen)
        self.names: list[str] = []
        self._picture = QWidget()
        self._words = QWidget()
        self._lay_out()
        self.show_progress(None, None)

    def minimumSizeHint(self) -> QSize:
        return QSize(NARROWEST, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window only the words are shown."""
        wide = event.size().width() >= BESIDE
        self._picture.setVisible(wide)
        self._words.setMinimumWidth(LEFT if wide else 0)
        super().resizeEvent(event)

    def _lay_out(self) -> None:
        for part in (self.measure, self.stop):
            part.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        line = row(self.measure, self.stop, (self.bar, 1), self.left, 0)
        words, picture = self._words, self._picture
        words.setMinimumWidth(LEFT)
        column(self.first, (self.words, 1), self.badge, line, of=words, margins=(0, 0, 0, 0))
        column((self.scatter, 1), self._workloads, of=picture, margins=(0, 0, 0, 0), spacing=2)
        self.setMaximumHeight(HIGHEST)
        row((words, 4), (picture, 5), of=self, margins=(10, 8, 10, 6), spacing=14)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)

    def show_answer(self, sentences: Sequence[str], badge: str) -> None:
        """Show sentences, the first of which is the answer, and where the figures come from."""
        self.first.setText(sentences[0] if sentences else "")
        self.first.setVisible(bool(sentences))
        self.words.setText("\n\n".join(sentences[1:]) or WHAT)
        self.badge.setText(badge)
        self.badge.setVisible(bool(badge))

    def show_scatter(self, spots: Sequence[Spot], workloads: Sequence[str], workload: str, baseline: str) -> None:
        """Show the scatter of one workload's times, and a button for each workload that was timed."""
        if list(workloads) != self.names:
            self._offer(workloads)
        for one in self._group.buttons():
            one.setChecked(one.property("workload") == workload)
        self.scatter.setVisible(bool(spots))
        self.scatter.show_spots(spots, f"time of {workload}, change from {baseline}’s" if spots else "")

    def _offer(self, workloads: Sequence[str]) -> None:
        self.names = list(workloads)
        for old in self._group.buttons():
            self._group.removeButton(old)
            old.deleteLater()
        for number, name in enumerate(workloads):
            made = named(QPushButton(name), f"Show the time of {name}")
            made.setCheckable(True)
            made.setProperty("workload", name)
            self._group.addButton(made)
            self._workloads.insertWidget(number, made)
            made.setVisible(len(workloads) > 1)

    def _chosen(self, pressed: QPushButton) -> None:
        self.timed.emit(str(pressed.property("workload")))

    def show_progress(self, share: float | None, seconds: float | None) -> None:
        """Show how far measuring has come.

        Args:
            share: the part that is done; None if nothing is being measured.
            seconds: how long the rest takes; None if that is not known yet.
        """
        busy = share is not None
        for part in (self.bar, self.stop):
            part.setVisible(busy)
        self.measure.setVisible(not busy)
        self.bar.setValue(int(1000 * (share or 0.0)))
        self.left.setText("" if not busy else FIRST_GUESS if seconds is None else remaining(seconds))


def remaining(seconds: float) -> str:
    """A rest of time in words, not more exact than it is known."""
    if seconds < 50:
        return f"about {max(10, round(seconds / 10) * 10)} s left"
    minutes = round(seconds / 60)
    return f"about {max(minutes, 1)} minute{'s' * (minutes > 1)} left"


class More(QWidget):
    """What stands under the rows: the button that unfolds the others, and the place of one's own policy.

    Signals:
        unfolded: all rows are to be shown, or only the first ones.
        new, open: a policy is to be made, or a file to be opened.
    """

    unfolded = Signal(bool)
    new = Signal()
    open = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("More policies")
        self.fold = named(QPushButton(), "Show all policies, or only the first ones")
        self.fold.setCheckable(True)
        self.fold.toggled.connect(self.unfolded)
        self.yours = OneLine("Yours: a policy of your own gets a row here.")
        self.yours.setProperty("role", "quiet")
        make = button("New policy…", "Begin a policy file from a commented text", self.new.emit)
        load = button("Open…", "Open a policy file, or a kernel tree", self.open.emit)
        row(self.fold, (self.yours, 20), 1, make, load, of=self, margins=(10, 4, 10, 4))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def show_rows(self, hidden: int, unfolded: bool, yours: bool) -> None:
        """Say how many policies are not shown, and whether one's own are."""
        self.fold.blockSignals(True)
        self.fold.setChecked(unfolded)
        self.fold.blockSignals(False)
        self.fold.setText("Fewer policies" if unfolded else f"{hidden} more")
        self.fold.setVisible(hidden > 0 or unfolded)
        self.yours.setVisible(not yours)

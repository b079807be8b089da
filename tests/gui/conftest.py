"""The window for tests: settings of its own, and nothing left over when it is closed."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

sys.path.insert(0, str(Path(__file__).parent))  # clipping, newcomer, pointing
sys.path.append(str(Path(__file__).parents[1] / "report"))  # chromium

ENDS = 120_000
"""Milliseconds that threads and processes have to end after the window is closed; on a loaded host it takes longer."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the window keeps its settings."""
    return tmp_path / "foliolab.ini"


@pytest.fixture
def open_window(qtbot: Any, store: Path) -> Iterator[Callable[..., Window]]:
    """Makes whole windows with the test's settings; each is closed, and what it leaves behind is a failure."""
    from PySide6.QtCore import QEvent, QSettings
    from PySide6.QtWidgets import QApplication

    from foliolab.gui.application import make
    from foliolab.gui.garbage import Collector
    from foliolab.gui.window.settings import Settings

    application = QApplication.instance()
    assert isinstance(application, QApplication)
    before = {thread.ident for thread in threading.enumerate()}
    known = {id(one) for one in application.topLevelWidgets()}
    made: list[Window] = []
    collector = Collector()

    def opened(*plugins: Path) -> Window:
        window = make(
            application, [str(one) for one in plugins], Settings(QSettings(str(store), QSettings.Format.IniFormat))
        )
        made.append(window)
        qtbot.addWidget(window)
        window.show()
        qtbot.waitUntil(lambda: window.library.settled, timeout=ENDS)
        return window

    yield opened
    for window in made:
        window.close()
        window.deleteLater()
    made.clear()
    application.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # otherwise each later window is slower
    qtbot.waitUntil(lambda: not left_over(before), timeout=ENDS)
    qtbot.wait(1)
    collector.stop()
    widgets = [one for one in application.topLevelWidgets() if id(one) not in known and one.isVisible()]
    assert not widgets, f"still on screen: {widgets}"


def left_over(before: set[int | None]) -> list[object]:
    """Threads and processes that were not there before."""
    threads = [one for one in threading.enumerate() if one.ident not in before and not one.daemon]
    return [*threads, *multiprocessing.active_children()]


@pytest.fixture
def window(open_window: Callable[..., Window]) -> Window:
    """A whole window, shown offscreen."""
    return open_window()


@pytest.fixture
def made_up_verdicts(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives every policy the same kept verdicts: one of this verifier, and one that is stale."""
    from foliolab.framework.verify.ledger import KeptVerdict
    from foliolab.framework.verify.version import verifier_digest

    held = KeptVerdict("", "held", "2026-11-01", "random", version="7.8.9", verifier=verifier_digest())
    refuted = KeptVerdict(
        "safe", "refuted", "2026-10-01", "explored", message="it breaks", version="4.5.6", verifier="x"
    )

    class MadeUpLedger:
        def verdicts(self, scheme: object) -> dict[str, KeptVerdict]:
            return {one.claim: one for one in (held, refuted)}

    monkeypatch.setattr(window.library, "ledger", MadeUpLedger)

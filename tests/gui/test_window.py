"""The window as a whole: workspaces, commands, files, layout, theme."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

PLACES = ["compare", "explore", "benchmark", "verify", "policies"]


def test_the_window_opens_at_home_with_all_workspaces(window: Window) -> None:
    assert list(window.workspaces) == PLACES
    assert window.here.name == "compare"
    assert window.windowTitle() == "Compare · FolioLab"


@pytest.mark.parametrize("workspace", PLACES)
def test_each_workspace_is_a_shortcut_away(window: Window, qtbot: Any, workspace: str) -> None:
    from PySide6.QtCore import Qt

    number = PLACES.index(workspace) + 1
    with qtbot.waitActive(window):
        window.activateWindow()
    qtbot.keyClick(window, getattr(Qt.Key, f"Key_{number}"), Qt.KeyboardModifier.ControlModifier)
    assert window.here.name == workspace
    assert window.commands.action(f"go.{workspace}").isChecked()


def test_every_command_has_a_tip_and_is_in_the_palette(window: Window) -> None:
    for workspace in PLACES:
        window.go(workspace)
        offered = {command.name for command, _ in window.commands.active()}
        assert {command.name for command in window.workspaces[workspace].offered()} <= offered
        for command, action in window.commands.active():
            assert action.toolTip() and action.text(), command.name


def test_the_palette_runs_what_was_typed(window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    dark = window.themes.now.dark
    window.palette_.ask()
    qtbot.keyClicks(window.palette_.entry, "dark light")
    qtbot.keyClick(window.palette_.entry, Qt.Key.Key_Return)
    assert window.themes.now.dark is not dark
    assert not window.palette_.isVisible()


def test_the_layout_is_found_again_and_can_be_reset(open_window: Callable[..., Window], qtbot: Any) -> None:
    from PySide6.QtCore import QSize

    first = open_window()
    first.go("explore")
    docks = first.here.docks
    assert docks, "explore has docks"
    name, dock = next((name, dock) for name, dock in docks.items() if dock.isVisible())
    dock.hide()
    first.resize(first.minimumSizeHint().expandedTo(QSize(780, 600)))
    size = first.size()
    first.toggle_theme()
    theme = first.themes.now.name
    first.close()
    second = open_window()
    assert second.here.name == "explore"
    assert not second.here.docks[name].isVisible()
    assert second.themes.now.name == theme
    assert second.height() == size.height()  # the offscreen screen is narrower than the window
    assert not second.commands.action("edit.undo").isEnabled()
    second.commands.trigger("view.reset")
    assert second.here.docks[name].isVisible()
    assert second.commands.action("edit.undo").text() == "&Undo: Reset layout"
    second.commands.trigger("edit.undo")
    assert not second.here.docks[name].isVisible(), "as it was before"
    second.commands.trigger("edit.redo")
    assert second.here.docks[name].isVisible()


def test_settings_of_another_schema_are_set_aside(store: Path, open_window: Callable[..., Window]) -> None:
    store.write_text("[General]\nschema=77\n[window]\nplace=verify\n")
    window = open_window()
    assert window.here.name == "compare"
    assert any("schema 77" in notice.text for notice in window.notices.all)


def test_damaged_settings_do_not_keep_the_window_from_opening(store: Path, open_window: Callable[..., Window]) -> None:
    store.write_bytes(b"\xff\xfe\x00[[[window\nplace=\x00\x01geometry=@ByteArray(zzz)\n")
    assert open_window().here.name == "compare"


def test_a_file_that_nobody_opens_is_a_notice(window: Window, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    assert not window.open(file)
    assert "notes.txt" in window.notices.all[-1].text


@pytest.mark.parametrize("name", ["gone.json", "gone.py", "gone.scenario"])
def test_a_file_that_is_not_there_is_a_notice(window: Window, tmp_path: Path, name: str) -> None:
    window.open(tmp_path / name)
    assert name in window.notices.all[-1].text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', "\x00\x01"])
def test_a_damaged_result_file_is_a_notice(window: Window, tmp_path: Path, text: str) -> None:
    file = tmp_path / "result.json"
    file.write_text(text)
    window.open(file)
    assert window.notices.all[-1].severity == "error"


def test_a_file_can_be_dropped(window: Window, tmp_path: Path, qtbot: Any) -> None:
    from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
    from PySide6.QtGui import QDropEvent

    file = tmp_path / "mine.py"
    file.write_text("raise ValueError('broken on purpose')\n")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    action, button, key = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPointF(10, 10), action, data, button, key))
    assert window.here.name == "policies"
    assert str(file) in window.library.files


def test_nothing_to_copy_and_nothing_to_export_are_said(window: Window) -> None:
    for workspace in PLACES:
        window.go(workspace)
        window.outputs.copy_command()
        if not list(window.here.exportables()):
            window.outputs.ask_export()
            assert window.notices.all


def test_what_fails_inside_the_window_is_a_notice_with_its_traceback(
    window: Window, capsys: pytest.CaptureFixture[str]
) -> None:
    from foliolab.gui.application import DefectReporter

    try:
        raise ZeroDivisionError("on purpose")
    except ZeroDivisionError:
        DefectReporter(window).hook(*sys.exc_info())
    assert "on purpose" in window.notices.all[-1].text
    assert "Traceback" in window.notices.all[-1].details
    assert "Traceback" in capsys.readouterr().err


def test_every_control_has_a_name_for_those_who_cannot_see_it(window: Window) -> None:
    from PySide6.QtWidgets import (
        QAbstractButton,
        QAbstractItemView,
        QAbstractSlider,
        QAbstractSpinBox,
        QComboBox,
        QLineEdit,
        QScrollBar,
        QWidget,
    )

    kinds = (QAbstractItemView, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit, QAbstractButton)
    nameless = []
    for workspace in PLACES:
        window.go(workspace)
        for one in window.here.findChildren(QWidget):
            own = not one.objectName().startswith("qt_") and not isinstance(one, QScrollBar)
            inner = isinstance(one.parentWidget(), (QComboBox, QAbstractSpinBox, QAbstractItemView))
            if own and not inner and isinstance(one, kinds) and one.isVisible():
                text = one.text() if isinstance(one, QAbstractButton) else ""
                if not (one.accessibleName() or text or one.toolTip()):
                    nameless.append(f"{workspace}: {type(one).__name__} {one.objectName()!r} in {one.parentWidget()}")
    assert not nameless, "\n".join(nameless)


def test_qt_keeps_its_references(qtbot: Any) -> None:
    """PySide6 6.12 loses one at each call on Python 3.11. On 3.14, where None is immortal, 6.10 gains one: harmless."""
    from PySide6.QtWidgets import QWidget

    widget = QWidget()
    qtbot.addWidget(widget)
    before = sys.getrefcount(None)
    for _ in range(200):
        widget.setEnabled(True)
    assert before - sys.getrefcount(None) < 50


def test_after_an_unclean_end_each_policy_file_is_offered_by_itself(
    open_window: Callable[..., Window], tmp_path: Path, qtbot: Any, store: Path
) -> None:
    import subprocess

    from foliolab.framework.plugins import starter
    from foliolab.gui.window import session

    files = [tmp_path / f"{name}.py" for name in ("one", "two")]
    for file in files:
        file.write_text(starter.text(file.stem))
    first = open_window(*files)
    assert first.settings.texts("window/policies") == [str(file) for file in files], "known before the window ends"
    first.close()
    gone = subprocess.Popen(["true"])
    gone.wait()
    first.settings.keep(session.PROCESS, gone.pid)  # as a window that crashed leaves it
    first.settings.write()
    later = open_window()
    assert [notice.accept.text() for notice in later.notices.all] == ["Load it", "Load it"] and not later.library.files
    later.notices.all[1].accept.click()
    qtbot.waitUntil(lambda: later.library.settled, timeout=120_000)
    assert later.library.files == [str(files[1])]
    later.close()
    assert [len(open_window().notices.all)] == [1], "that window was closed in order"


def test_policy_files_of_the_last_session_are_offered_not_loaded(
    open_window: Callable[..., Window], tmp_path: Path, qtbot: Any
) -> None:
    from foliolab.framework.plugins import starter

    plugin = tmp_path / "mine.py"
    plugin.write_text(starter.text("mine") + f"\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    first = open_window(plugin)
    first.close()
    (tmp_path / "ran").unlink()
    open_window().close()  # the offer is not taken, and stays
    later = open_window()
    (notice,) = later.notices.all
    assert "mine.py" in notice.text and not later.library.files and not (tmp_path / "ran").exists()
    notice.accept.click()
    qtbot.waitUntil(lambda: later.library.settled, timeout=120_000)
    assert later.library.files == [str(plugin)] and later.library.usable(["mine"]) and not later.notices.all


def test_a_settings_file_runs_no_code(qtbot: Any, tmp_path: Path) -> None:
    import pickle

    from PySide6.QtCore import QSettings

    from foliolab.gui.window.settings import Settings
    from foliolab.gui.window.unpickling import refuse_pickles

    refuse_pickles()
    file = str(tmp_path / "evil.ini")
    evil = QSettings(file, QSettings.Format.IniFormat)
    for key in ("window/theme", "window/files"):
        evil.setValue(key, _Writes(str(tmp_path / "ran")))
    evil.sync()
    assert b"PyObjectWrapper" in Path(file).read_bytes()
    (tmp_path / "copy.ini").write_bytes(Path(file).read_bytes())  # Qt keeps the values of a file that it has written
    found = Settings(QSettings(str(tmp_path / "copy.ini"), QSettings.Format.IniFormat))
    assert (found.text("window/theme"), found.texts("window/files")) == ("", [])
    assert not (tmp_path / "ran").exists()
    assert pickle.loads(pickle.dumps([1])) == [1]


class _Writes:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_names_of_files_are_not_html(window: Window) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QLabel

    window.notices.say("<img src='file:///etc/passwd'> <b>bold</b>")
    labels = window.notices.all[-1].findChildren(QLabel)
    assert labels and all(one.textFormat() is Qt.TextFormat.PlainText for one in labels)


def test_a_notice_moves_nothing(window: Window, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from foliolab.gui.window import notices

    monkeypatch.setattr(notices, "SECONDS", 0)
    window.resize(1024, 700)
    before = window.stack.geometry()
    window.notices.say("a sentence of many words " * 12)
    notice = window.notices.all[-1]
    qtbot.waitUntil(lambda: notice.height() >= notice.heightForWidth(notice.width()))
    assert window.stack.geometry() == before, "it lies over the workspace"
    assert window.notices.geometry().bottom() < window.centralWidget().height()
    qtbot.waitUntil(lambda: not window.notices.isVisible())
    assert window.stack.geometry() == before


def test_a_notice_resolves_itself_and_stays_in_the_history(window: Window) -> None:
    from foliolab.gui.widgets.notice_history import NoticeHistory

    window.notices.say("mine.py: broken", "error", "the details", about="mine.py")
    window.notices.say("other.py: broken", "error", about="other.py")
    window.notices.resolve("mine.py")
    assert [notice.text for notice in window.notices.all] == ["other.py: broken"]
    window.commands.trigger("view.history")
    (shown,) = window.findChildren(NoticeHistory)
    rows = [shown.rows.topLevelItem(at) for at in range(2)]
    assert [row.text(2) for row in rows if row is not None] == ["other.py: broken", "mine.py: broken"]
    assert rows[1] is not None
    shown.rows.setCurrentItem(rows[1])
    assert "the details" in shown.details.toPlainText()
    shown.close()

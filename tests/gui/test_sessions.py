"""Session files: what was shown is shown again, on another machine too; damaged and hostile ones are refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.engine.engine import native_missing
from foliolab.framework.errors import FolioLabError, ResultFileError
from foliolab.gui.window.session_file import Files, SessionFile

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

DAEMON = Path(__file__).parents[2] / "gui" / "tours" / "false_shared.scenario"
PATIENCE = 120_000
EMPTY = {"schema": 1, "workspace": "compare", "saved": "2026-11-30T18:00:00", "states": {}}
EXPLORE = {"kind": "pattern", "what": "daemons", "policies": ["exact"], "size": 16384, "span": 262144}
DIGEST = "a" * 64


def written(tmp_path: Path, **changed: object) -> Path:
    file = tmp_path / "x.folio-session"
    file.write_text(json.dumps(EMPTY | changed))
    return file


@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")
def test_it_opens_the_same_on_another_machine(
    open_window: Callable[..., Window], qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "here"))
    scenario, file = tmp_path / "mine.scenario", tmp_path / "week.folio-session"
    scenario.write_bytes(DAEMON.read_bytes())
    first = open_window()
    explore = explored(first, qtbot, scenario)
    explore.controls.goto(4)
    settled(explore, qtbot, 4)
    explore.maps.tabs.setCurrentIndex(1)
    explore.maps.look(0, 4)
    seen = explore.maps.seen()
    explore.inspecting.pick(1, 2, 3)
    qtbot.waitUntil(lambda: explore.inspector.now is not None and explore.inspector.now.policy == "exact")
    first.commands.trigger("edit.bookmark")
    qtbot.keyClicks(first.sessions.notebook.note, "here it is wrong")
    first.sessions.notebook.notes.setPlainText("ask the list about this")
    explore.controls.goto(2)
    settled(explore, qtbot, 2)
    first.send("benchmark", {"policies": ["exact", "mm-id"], "workloads": ["fork"], "sizes": "16K"})
    first.go("explore")
    first.sessions.save(file)
    first.close()
    scenario.unlink()
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "there"))
    store.unlink()

    second = open_window()
    assert second.open(file)
    again: Any = second.here
    assert second.here.name == "explore"
    qtbot.waitUntil(lambda: again.facts is not None and again.run.view is not None, timeout=PATIENCE)
    settled(again, qtbot, 2)
    assert again.run.choice.policies == ("mm-id", "exact")
    assert again.inspecting.picked == (2, 3) and again.maps.lane == 0
    assert again.maps.seen()[0] == seen[0] and again.maps.seen()[1] == pytest.approx(seen[1], rel=0.01)
    wish = second.workspaces["benchmark"].controls.wish()  # type: ignore[attr-defined]
    assert (wish.policies, wish.workloads, wish.sizes) == (("mm-id", "exact"), ("fork",), "16K")
    assert second.sessions.notebook.notes.toPlainText() == "ask the list about this"
    (bookmark,) = second.sessions.notebook.bookmarks
    assert bookmark.note == "here it is wrong" and "step 4" in bookmark.title
    second.go("compare")
    second.sessions.notebook.list.setCurrentRow(0)
    second.sessions.notebook.go.click()
    assert second.here.name == "explore"
    settled(again, qtbot, 4)
    qtbot.waitUntil(lambda: again.inspector.now is not None and again.inspector.now.verdict != "", timeout=PATIENCE)
    assert again.inspector.now.policy == "exact"
    second.sessions.notebook.remove.click()
    assert not second.sessions.notebook.bookmarks
    second.undo.undo()
    assert [one.note for one in second.sessions.notebook.bookmarks] == ["here it is wrong"]


def explored(window: Window, qtbot: Any, scenario: Path) -> Any:
    window.send("explore", {"file": scenario, "policies": ["mm-id", "exact"]})
    explore: Any = window.here
    qtbot.waitUntil(lambda: explore.facts is not None and explore.run.view is not None, timeout=PATIENCE)
    return explore


def settled(explore: Any, qtbot: Any, step: int) -> None:
    qtbot.waitUntil(lambda: explore.run.view.position == step, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"schema": 2}, "schema 2"),
        ({"more": 1}, "unknown field"),
        ({"workspace": 7}, "workspace"),
        ({"bookmarks": [{}] * 1001}, "bookmarks"),
        ({"notes": "x" * ((1 << 20) + 1)}, "notes"),
        ({"files": {DIGEST: {"name": "../evil.py", "data": ""}}}, "no name of a file"),
        ({"files": {DIGEST: {"name": "..", "data": ""}}}, "no name of a file"),
        ({"files": {DIGEST: {"name": "a\nb", "data": ""}}}, "no name of a file"),
        ({"files": {DIGEST: {"name": "a", "data": base64.b64encode(b"x").decode()}}}, "damaged"),
        ({"files": {DIGEST: {"name": "a", "data": "%%%"}}}, "base64"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path: Path, changed: dict[str, object], says: str) -> None:
    with pytest.raises(ResultFileError) as found:
        SessionFile.load(written(tmp_path, **changed))
    assert says in found.value.what and "x.folio-session" in found.value.what and "\n" not in found.value.what


@pytest.mark.parametrize(
    "state",
    [
        EXPLORE | {"policies": []},
        EXPLORE | {"policies": ["exact"] * 5},
        EXPLORE | {"kind": "program"},
        EXPLORE | {"mms": 10**9},
        EXPLORE | {"step": -1},
        EXPLORE | {"zoom": 0},
        EXPLORE | {"file": "/etc/passwd"},
        EXPLORE | {"run": "rm -rf"},
        [],
        None,
    ],
)
def test_a_wrong_state_changes_nothing(window: Window, tmp_path: Path, state: object) -> None:
    window.sessions.notebook.notes.setPlainText("kept")
    assert not window.open(written(tmp_path, states={"explore": state}, notes="of the file"))
    notice = window.notices.all[-1]
    assert notice.severity == "error" and "explore" in notice.text and "\n" not in notice.text
    assert window.sessions.notebook.notes.toPlainText() == "kept"
    assert window.workspaces["explore"].run is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "state",
    [
        EXPLORE | {"policies": ["no-such-policy"]},
        EXPLORE | {"what": "no-such-pattern"},
        EXPLORE | {"size": 5},
        EXPLORE | {"kind": "trace", "what": "/no/such.trace"},
        EXPLORE | {"kind": "counterexample", "file": DIGEST},
    ],
)
def test_what_cannot_be_shown_here_is_said_and_the_rest_is_shown(window: Window, tmp_path: Path, state: object) -> None:
    states = {"explore": state, "policies": {"policy": "exact"}, "of-a-later-version": {"a": 1}}
    assert window.open(written(tmp_path, states=states, workspace="policies", notes="read me"))
    assert window.here.name == "policies" and window.here.place() == "exact"
    assert window.sessions.notebook.notes.toPlainText() == "read me"
    assert window.notices.all and window.workspaces["explore"].run is None  # type: ignore[attr-defined]


def test_policies_in_it_are_code_and_load_only_on_request(
    open_window: Callable[..., Window], qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    from foliolab.framework.plugins import starter

    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    mine, ran, file = tmp_path / "mine.py", tmp_path / "ran", tmp_path / "mine.folio-session"
    mine.write_text(starter.text("mine") + f"\nopen({str(ran)!r}, 'w')\n")
    first = open_window(mine)
    first.send("policies", {"policy": "mine"})
    first.sessions.save(file)
    first.close()
    mine.unlink()
    ran.unlink()
    store.unlink()
    second = open_window()
    second.open(file)
    qtbot.wait(50)
    assert not second.library.files and not ran.exists()
    offer = next(one for one in second.notices.all if "mine.py" in one.text)
    offer.accept.click()
    qtbot.waitUntil(lambda: second.library.usable(["mine"]) == ["mine"], timeout=PATIENCE)
    qtbot.waitUntil(lambda: second.here.place() == "mine", timeout=PATIENCE)


def test_there_is_nothing_to_bookmark_at_first(window: Window) -> None:
    window.go("explore")
    window.commands.trigger("edit.bookmark")
    assert "nothing to bookmark" in window.notices.all[-1].text and not window.sessions.notebook.bookmarks


def test_a_file_that_cannot_be_written_is_said(window: Window, tmp_path: Path) -> None:
    with pytest.raises(FolioLabError, match="cannot be written"):
        window.sessions.save(tmp_path / "no" / "such" / "folder")


def test_files_go_with_it_once_and_are_written_under_their_digest(tmp_path: Path) -> None:
    files = Files(tmp_path)
    digest = files.keep("a.scenario", b"text")
    assert files.keep("b.scenario", b"text") == digest and len(files.found) == 1
    assert files.path(digest).read_bytes() == b"text" and files.path(digest).parent.parent == tmp_path
    files.path(digest).write_bytes(b"cuts")
    assert files.path(digest).read_bytes() == b"text", "what is damaged on the disk is written again"
    with pytest.raises(FolioLabError, match="lacks a file"):
        files.path(DIGEST)
    assert files.keep_file(tmp_path / "none") == ""

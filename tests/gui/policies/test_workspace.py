"""The policies workspace: what is listed, what a save does, what a broken file says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.plugins import starter

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window
    from foliolab.gui.policies.workspace import PoliciesWorkspace

SECONDS = 120_000


def test_all_policies_are_listed_with_their_claims(workspace: PoliciesWorkspace, window: Window) -> None:
    for policy in window.library.policies:
        assert workspace.tree.choose(name=policy.name)
        assert workspace.details.title.text() == policy.name
        assert workspace.details.source.marks, f"{policy.name} is declared somewhere"
        about = workspace.details.about.toPlainText()
        assert all(claim in about for claim in policy.with_parameters().capabilities)
        assert workspace.details.picture.anatomy is not None
    assert window.here.command_line == f"foliolab show {policy.name}"


def test_claims_are_listed_with_their_verdicts(workspace: PoliciesWorkspace, made_up_verdicts: None) -> None:
    workspace.shown()
    workspace.tree.choose(name="mm-id")
    entry = workspace.tree.entry
    assert entry is not None and "✗ safe (stale)" in entry.claims_text
    assert "2026-10-01" in entry.verdicts_text and "4.5.6" in entry.verdicts_text
    about = workspace.details.about.toPlainText()
    for found in ("2026-11-01", "7.8.9", "2026-10-01", "4.5.6", "stale", "it breaks"):
        assert found in about, "when and by which version"


def test_a_policy_names_its_witnesses_or_that_there_is_none(
    workspace: PoliciesWorkspace, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foliolab.framework.kernel.witnesses import Witness, Witnesses

    witness = Witness("9.8.7-test", "CONFIG_MM_ID=y", 40, 12_345, 2, "2026-11-02")
    known = Witnesses({})
    monkeypatch.setattr(known, "about", lambda scheme: (witness,) if scheme.name == "mm-id" else ())
    monkeypatch.setattr(window.library, "witnesses", lambda: known)
    texts = {}
    for name in ("mm-id", "no-page-mapcount", "exact"):
        workspace.tree.choose(name="page-mapcount")
        workspace.tree.choose(name=name)
        texts[name] = workspace.details.about.toPlainText()
    assert all(word in texts["mm-id"] for word in ("9.8.7-test", "CONFIG_MM_ID=y", "12,345", "✗ 2", "2026-11-02"))
    assert "no witness: no kernel was held against this text" in texts["no-page-mapcount"]
    assert "itness" not in texts["exact"], "it models no kernel"
    table = workspace.exportables()[0].table
    assert table is not None
    head, rows = table()
    assert {row[0]: row[head.index("witnesses")] for row in rows}["mm-id"] == witness.text


@pytest.mark.slow  # compiles it three times
def test_a_new_policy_is_written_watched_and_checked(
    workspace: PoliciesWorkspace, window: Window, qtbot: Any, tmp_path: Path
) -> None:
    file = tmp_path / "my_idea.py"
    workspace.begin("my-idea", file)
    qtbot.waitUntil(lambda: window.library.settled, timeout=SECONDS)
    assert workspace.tree.entry is not None and workspace.tree.entry.name == "my-idea"
    assert str(file) in window.library.files and window.settings.texts("policies/recent") == [str(file)]
    qtbot.waitUntil(lambda: "my-idea" in workspace.states, timeout=SECONDS)
    assert workspace.states["my-idea"].state == "checked"
    file.write_text(file.read_text().replace("store(folio._state, load(folio._state) | SHARED)", "pass"))
    qtbot.waitUntil(lambda: getattr(workspace.states.get("my-idea"), "state", "") == "refuted", timeout=SECONDS)
    assert workspace.states["my-idea"].message.startswith("safe")
    file.write_text(starter.text("my-idea").replace("nr, folio._large_mapcount", "nr, folio._no_such", 1))
    qtbot.waitUntil(lambda: getattr(workspace.states.get("my-idea"), "state", "") == "failed", timeout=SECONDS)
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "_no_such" in text)
    assert workspace.details.source.marks == {line: "error"}
    qtbot.waitUntil(lambda: not window.jobs.running, timeout=SECONDS)


def test_a_file_edited_into_nonsense_shows_its_line_and_comes_back(
    workspace: PoliciesWorkspace, window: Window, qtbot: Any, tmp_path: Path, unchecked: list[str]
) -> None:
    file = starter.write("my-idea", tmp_path / "my_idea.py")
    assert window.open(file)
    qtbot.waitUntil(lambda: window.library.settled, timeout=SECONDS)
    assert unchecked == ["my-idea"]
    good = file.read_text()
    file.write_text(good.replace("left = _sub(folio, nr, mm)", "left = _sub(folio, nr, mm"))
    qtbot.waitUntil(lambda: workspace.tree.entry is not None and workspace.tree.entry.broken, timeout=SECONDS)
    assert workspace.tree.entry is not None and workspace.tree.entry.source == str(file)
    line = good[: good.index("left = _sub")].count("\n") + 1
    assert workspace.details.source.marks == {line: "error"}
    assert workspace.details.buttons["copy"].isVisible() and not workspace.details.buttons["verify"].isVisible()
    assert "never closed" in window.notices.all[-1].text
    workspace.details.buttons["copy"].click()
    from PySide6.QtGui import QGuiApplication

    assert "SyntaxError" in QGuiApplication.clipboard().text()
    file.write_text(good)
    qtbot.waitUntil(lambda: getattr(workspace.tree.entry, "name", "") == "my-idea", timeout=SECONDS)
    assert len(unchecked) == 2


def test_files_are_removed_and_found_again_among_recent_ones(
    workspace: PoliciesWorkspace, window: Window, tmp_path: Path, unchecked: list[str], qtbot: Any
) -> None:
    file = starter.write("my-idea", tmp_path / "my_idea.py")
    window.open(file)
    qtbot.waitUntil(lambda: window.library.settled, timeout=SECONDS)
    window.commands.trigger("policies.remove")
    assert not window.library.files and file.exists()
    assert not workspace.tree.choose(name="my-idea")
    assert window.commands.action("edit.undo").text() == "&Undo: Remove my_idea.py"
    window.commands.trigger("edit.undo")
    qtbot.waitUntil(lambda: window.library.settled, timeout=SECONDS)
    assert window.library.files == [str(file)] and workspace.tree.choose(name="my-idea")
    window.commands.trigger("edit.redo")
    assert not window.library.files
    workspace._list_recent()
    (action,) = workspace._recent_menu.actions()
    action.trigger()
    qtbot.waitUntil(lambda: window.library.settled, timeout=SECONDS)
    assert workspace.tree.choose(name="my-idea")


def test_an_existing_file_is_never_replaced(workspace: PoliciesWorkspace, window: Window, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("mine")
    workspace.begin("my-idea", tmp_path / "x.py")
    assert (tmp_path / "x.py").read_text() == "mine"
    assert "exists already" in window.notices.all[-1].text


def test_it_opens_the_editor_or_says_that_there_is_none(
    workspace: PoliciesWorkspace, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PySide6.QtGui import QDesktopServices

    asked: list[str] = []

    def opened(url: Any) -> bool:
        asked.append(url.toLocalFile())
        return len(asked) == 1

    monkeypatch.setattr(QDesktopServices, "openUrl", opened)
    window.commands.trigger("policies.edit")
    assert asked[0].endswith(".py") and not window.notices.all
    window.commands.trigger("policies.edit")
    assert "no editor" in window.notices.all[-1].text


def test_other_workspaces_get_the_chosen_policy(
    workspace: PoliciesWorkspace, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = window.library.policies[1].name
    workspace.tree.choose(name=name)
    sent: dict[str, Any] = {}
    for other in ("verify", "explore", "benchmark"):
        monkeypatch.setattr(window.workspaces[other], "receive", lambda what, other=other: sent.update({other: what}))
        window.go("policies")
        workspace.details.buttons[other].click()
    assert sent["verify"]["policy"] == name
    assert all(name in str(what) for what in sent.values()) and len(sent) == 3


def test_what_is_sent_is_chosen(workspace: PoliciesWorkspace, window: Window) -> None:
    window.send("policies", {"policy": window.library.policies[3].name})
    assert workspace.tree.entry is not None and workspace.tree.entry.name == window.library.policies[3].name
    window.send("policies", {"policy": "no-such-policy"})
    assert "no policy" in window.notices.all[-1].text


def test_the_list_can_be_taken_along(workspace: PoliciesWorkspace, window: Window, tmp_path: Path) -> None:
    workspace.details.tabs.setCurrentIndex(1)
    for what in workspace.exportables():
        for form in what.forms:
            window.outputs.export(what, tmp_path / f"{what.name}{form}")
    assert len((tmp_path / "policies.csv").read_text().splitlines()) == 1 + len(window.library.policies)
    assert (tmp_path / "layout.svg").stat().st_size > 1000


def test_files_are_found_again_at_the_next_start(
    window: Window,
    workspace: PoliciesWorkspace,
    open_window: Callable[..., Window],
    tmp_path: Path,
    unchecked: list[str],
) -> None:
    file = starter.write("my-idea", tmp_path / "my_idea.py")
    window.open(file)
    window.close()
    again = open_window()
    assert again.library.files == [], "a policy file is code: it is offered"
    (offer,) = again.notices.all
    offer.accept.click()
    assert again.library.files == [str(file)]


@pytest.mark.parametrize(
    ("check", "verdicts", "status"),
    [
        ("", (), ""),
        ("checked", (), "✓ checked"),
        ("checked", ("held", "refuted"), "✗ refuted"),
        ("checked", ("held", "held"), "✓ held"),
        ("checked", ("held", "partly"), "◐ partly"),
        ("checked", ("held",), "✓ checked"),
        ("", ("held",), "? undecided"),
        ("refuted", ("held", "held"), "✗ refuted"),
        ("failed", ("refuted", "held"), "✗ failed"),
    ],
)
def test_the_one_status_is_the_worst_of_all(check: Any, verdicts: tuple[str, ...], status: str) -> None:
    from foliolab.framework.verify.ledger import KeptVerdict
    from foliolab.gui.policies.listing import Entry
    from foliolab.gui.window.checked import Checked

    kept = [KeptVerdict(f"claim {n}", verdict, "2026-11-01") for n, verdict in enumerate(verdicts)]
    claims = [*((one.claim, one) for one in kept), *((f"other {n}", None) for n in range(2 - len(kept)))]
    entry = Entry("mine", "file", "mine.py", "", tuple(claims))
    assert entry.status(Checked("mine", check, "") if check else None)[0] == status


def test_a_failed_check_is_also_what_the_home_screen_says(workspace: PoliciesWorkspace, window: Window) -> None:
    from foliolab.gui.compare.measure import Cell
    from foliolab.gui.window.checked import Checked

    workspace._on_report(Checked("mm-id", "failed", "mm_id.py:7: it does not compile"))
    home: Any = window.workspaces["compare"]
    assert "does not compile" in home.collector.answer(Cell("right", "mm-id")).sentence

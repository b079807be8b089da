"""Policies in C in the window: a file and a kernel tree, through every door, edited, broken, mended and gone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("clang.cindex", reason="libclang is missing")

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window
    from foliolab.gui.policies.tree_dialog import TreeDialog
    from foliolab.gui.policies.workspace import PoliciesWorkspace

SOURCES = Path(__file__).parents[2] / "csource"
SECONDS = 60_000


@pytest.fixture
def linux(tmp_path: Path) -> Path:
    """A kernel tree of our own text, without .config."""
    return shutil.copytree(SOURCES / "tree", tmp_path / "linux")


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def line_of(file: Path, words: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if words in line)


def shows(workspace: PoliciesWorkspace, name: str, broken: bool = False) -> Callable[[], bool]:
    """Whether an entry is chosen, broken or not."""
    return lambda: (entry := workspace.tree.entry) is not None and (entry.name, entry.broken) == (name, broken)


def dialog_of(workspace: PoliciesWorkspace) -> TreeDialog:
    from foliolab.gui.policies.tree_dialog import TreeDialog

    (found,) = [one for one in workspace.findChildren(TreeDialog) if one.isVisible()]
    return found


def test_a_c_file_is_shown_edited_into_nonsense_mended_and_removed(
    workspace: PoliciesWorkspace, window: Window, qtbot: Any, tmp_path: Path, unchecked: list[str]
) -> None:
    file = Path(shutil.copy(SOURCES / "owner_slot.c", tmp_path))
    good, view = file.read_text(), workspace.details.source
    assert window.open(file)
    qtbot.waitUntil(shows(workspace, "owner-slot"), timeout=SECONDS)
    assert view.marks == {line_of(file, "int remove_ptes"): "step"} and "struct folio" in view.toPlainText()
    chooser = workspace.details.texts.chooser
    assert [chooser.itemText(at) for at in range(chooser.count())] == ["owner_slot.c", "translation"]
    chooser.setCurrentIndex(1)
    chooser.activated.emit(1)
    (line,) = view.marks
    assert view.line_text(line).startswith("def remove_ptes("), "the line that stands for it"
    assert str(tmp_path) not in view.toPlainText()
    assert window.here.command_line == f"foliolab show owner-slot --plugin {file}"
    file.write_text(good.replace("*partially_mapped = removed && mappings;", 'asm("nop");'))
    qtbot.waitUntil(shows(workspace, "owner_slot", broken=True), timeout=SECONDS)
    number = line_of(file, "asm(")
    assert view.marks == {number: "error"} and "struct folio" in view.toPlainText()
    assert f"line {number} of owner_slot.c" in window.notices.all[-1].text
    assert "owner-slot" not in window.library.registry.policies and window.library.sound == []
    file.write_text(good)
    qtbot.waitUntil(shows(workspace, "owner-slot"), timeout=SECONDS)
    assert unchecked == ["owner-slot"] * 2
    file.unlink()
    qtbot.waitUntil(shows(workspace, "owner_slot", broken=True), timeout=SECONDS)
    assert "no such file" in workspace.details.summary.text()


def test_a_tree_is_asked_about_shown_watched_gone_and_found_again(
    workspace: PoliciesWorkspace, window: Window, qtbot: Any, linux: Path, unchecked: list[str]
) -> None:
    assert window.open(linux)
    dialog = dialog_of(workspace)
    assert not dialog.configurations.button(0).isEnabled(), "the tree has no .config"
    assert not dialog.revision.isEnabled(), "and no repository"
    dialog.configurations.button(3).click()
    assert dialog.written.text() == f"tree:{linux}:MM_ID=n"
    dialog.buttons.accepted.emit()
    name = "linux-no-mm-id"
    qtbot.waitUntil(shows(workspace, name), timeout=SECONDS)
    view = workspace.details.source
    assert view.path == str(linux / "mm/rmap.c") and "__folio_remove_rmap(" in view.line_text(next(iter(view.marks)))
    assert window.settings.texts("policies/trees") == [str(linux)]
    header, rmap = linux / "include/linux/rmap.h", linux / "mm/rmap.c"
    good = rmap.read_text()
    rmap.write_text(good.replace("nr = nr_pmdmapped - last;", 'asm("nop");'))
    qtbot.waitUntil(shows(workspace, name, broken=True), timeout=SECONDS)
    assert view.marks == {line_of(rmap, "asm("): "error"} and view.path == str(rmap)
    rmap.write_text(good)
    qtbot.waitUntil(shows(workspace, name), timeout=SECONDS)
    assert unchecked == [name] * 2
    with qtbot.waitSignal(window.library.changed, timeout=SECONDS):
        header.write_text(f"\n\n{header.read_text()}")
    (code,) = {hook.__code__ for hook in [window.library.registry.policies[name].hooks.remove_ptes]}
    assert code.co_filename == str(rmap)
    with qtbot.waitSignal(window.library.changed, timeout=SECONDS):
        linux.rename(linux.with_name("away"))
    assert window.library.sound == [] and "no folder" in window.library.failures[-1].message
    with qtbot.waitSignal(window.library.changed, timeout=SECONDS):
        linux.with_name("away").rename(linux)
    assert name in window.library.registry.policies


@pytest.mark.slow  # four translations
@pytest.mark.skipif(shutil.which("git") is None, reason="git is missing")
def test_a_patch_asks_for_its_tree_and_a_branch_is_watched(
    workspace: PoliciesWorkspace, window: Window, qtbot: Any, linux: Path, tmp_path: Path, unchecked: list[str]
) -> None:
    rmap = linux / "mm/rmap.c"
    git(linux, "init", "-q", "-b", "topic")
    git(linux, "add", ".")
    git(linux, "commit", "-qm", "one")
    rmap.write_text(rmap.read_text().replace("int last, nr = 0", "int last, nr = 0 /* changed */"))
    patch, damaged = tmp_path / "change.patch", tmp_path / "damaged.patch"
    patch.write_text(git(linux, "diff"))
    git(linux, "checkout", "-q", ".")
    damaged.write_text(patch.read_text().replace("+++ b/mm", "+++ /x"))
    window.settings.remember("policies/trees", str(linux))
    assert window.open(damaged)
    dialog = dialog_of(workspace)
    assert dialog.folder.currentText() == str(linux), "the last one"
    dialog.revision.setCurrentText("topic")
    dialog.configurations.button(3).click()
    dialog.buttons.accepted.emit()
    assert dialog.isVisible() and "damaged.patch" in dialog.problem.text()
    dialog.revision.setCurrentText("nowhere")
    dialog.buttons.accepted.emit()
    assert dialog.isVisible() and "nowhere" in dialog.problem.text()
    dialog.revision.setCurrentText("topic")
    dialog.patch.setText(str(patch))
    dialog.buttons.accepted.emit()
    name = "linux-topic-no-mm-id-change"
    qtbot.waitUntil(shows(workspace, name), timeout=SECONDS)
    assert "/* changed */" in workspace.details.source.toPlainText(), "of a copy with the patch"
    assert window.library.files == [f"tree:{linux}@topic:MM_ID=n,patch={patch}"]
    rmap.write_text(rmap.read_text() + "\n/* another commit */\n")
    git(linux, "commit", "-qam", "two")
    qtbot.waitUntil(lambda: "another commit" in workspace.details.source.toPlainText(), timeout=SECONDS)
    patch.write_text("no diff")
    qtbot.waitUntil(shows(workspace, name, broken=True), timeout=SECONDS)
    assert "does not apply" in workspace.details.summary.text()


@pytest.mark.slow  # three windows
def test_c_policies_of_the_last_session_are_offered(
    open_window: Callable[..., Window], qtbot: Any, linux: Path, tmp_path: Path
) -> None:
    file = Path(shutil.copy(SOURCES / "owner_slot.c", tmp_path))
    tree = f"tree:{linux}:MM_ID=n"
    first = open_window(file, Path(tree))
    qtbot.waitUntil(lambda: first.library.sound == [str(file), tree], timeout=SECONDS)
    first.close()
    again = open_window()
    (notice,) = again.notices.all
    assert notice.text == "open before: owner_slot.c, linux-no-mm-id" and not again.library.files
    notice.accept.click()
    qtbot.waitUntil(lambda: bool(again.library.usable(["owner-slot", "linux-no-mm-id"])), timeout=SECONDS)
    again.close()
    shutil.rmtree(linux)
    (notice,) = open_window().notices.all
    assert notice.text == "open before: owner_slot.c"


def test_what_belongs_to_no_tree_is_refused_in_a_sentence(
    workspace: PoliciesWorkspace, window: Window, linux: Path, tmp_path: Path, unchecked: list[str]
) -> None:
    (tmp_path / "alone.h").write_text("int x;\n")
    unread = linux / "include/linux/other.h"
    unread.write_text("int x;\n")
    for path, says in (
        (tmp_path / "alone.h", "lies in no kernel tree"),
        (tmp_path, "lies in no kernel tree"),
        (unread, "is not read from a kernel tree"),
        (tmp_path / "gone.patch", "there is no file"),
        (Path(f"tree:{tmp_path / 'gone'}"), "there is no folder"),
        (Path("tree:"), "names no folder"),
    ):
        assert not window.open(path)
        assert says in window.notices.all[-1].text and window.notices.all[-1].severity == "error"
    assert not window.library.files and not window.jobs.running

"""Verifying in the window: attacks that run beside it, claims, and a counterexample step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.engine.engine import native_missing

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

PATIENCE = 120_000
RACE = Path(__file__).parents[3] / "gui" / "tours" / "lost_update.py"
needs_native = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, until_refuted: Callable[..., Any]) -> Path:
    """The counterexample of the tour's race, in a file."""
    from foliolab.framework.plugins import registry
    from foliolab.framework.verify.explored.attack import Explored

    scheme = registry.load([RACE]).policy("lost-update")
    findings = until_refuted(Explored(), scheme, 120.0, 64 << 20)
    found = next(one.counterexample for one in findings if one.counterexample is not None)
    path = tmp_path_factory.mktemp("examples") / "race.json"
    found.save(path)
    return path


@pytest.fixture
def stepping(open_window: Callable[..., Window], qtbot: Any, example: Path) -> Any:
    """The workspace with that counterexample open."""
    window = open_window(RACE)
    assert window.open(example)
    workspace: Any = window.here
    assert workspace.name == "verify"
    qtbot.waitUntil(
        lambda: workspace.shown_example.stepper is not None and workspace.shown_example.stepper.timeline is not None,
        timeout=PATIENCE,
    )
    return workspace


@needs_native
def test_a_race_is_found_and_shown_while_the_attacks_run(open_window: Callable[..., Window], qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window = open_window(RACE)
    window.go("verify")
    workspace: Any = window.here
    workspace.options.choose("lost-update")
    workspace.options.seconds.setValue(90)
    qtbot.mouseClick(workspace.options.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: workspace.shown_example.stepper.timeline is not None, timeout=PATIENCE)
    assert workspace.attacks.job is not None, "the other attacks still run"
    assert "claim safe refuted" in workspace.shown_example.stepper.headline.text()
    rows = [workspace.claims.item(row, 1).text() for row in range(workspace.claims.rowCount())]
    assert "✗ refuted" in rows
    assert workspace.command_line == f"foliolab verify lost-update --budget 90 --plugin {RACE}"
    qtbot.mouseClick(workspace.options.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: workspace.attacks.job is None, timeout=PATIENCE)
    assert workspace.shown_example.stepper.timeline is not None, "what was found stays"
    assert workspace.options.start.isEnabled()


def test_stepping_by_keys_slider_and_mouse(stepping: Any, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window = stepping.window()
    stepper = stepping.shown_example.stepper
    assert stepper.step == -1
    with qtbot.waitActive(window):
        window.activateWindow()
    stepping.options.setFocus()
    for _ in range(3):
        qtbot.keyClick(window, Qt.Key.Key_Right)
    assert stepper.step == 2
    qtbot.keyClick(window, Qt.Key.Key_Left)
    assert stepper.step == 1
    qtbot.keyClick(window, Qt.Key.Key_End)
    assert stepper.step == stepper.last
    assert stepping.shown_example.inspector.now.verdict == "unsafe"
    assert "2 MMs" in stepping.shown_example.inspector.now.description
    qtbot.keyClick(window, Qt.Key.Key_Home)
    assert stepper.step == -1
    stepper.slider.setValue(7)
    assert stepper.step == 7
    assert stepper.diagram.step == 7
    assert stepping.shown_example.inspector.source.toPlainText()


def test_it_plays_by_itself_to_the_end(stepping: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stepping.shown_example.stepper._timer.setInterval(1)
    stepping.shown_example.step("toggle")
    assert stepping.shown_example.stepper.plays
    qtbot.waitUntil(lambda: not stepping.shown_example.stepper.plays, timeout=PATIENCE)
    assert stepping.shown_example.stepper.step == stepping.shown_example.stepper.last
    stepping.shown_example.step("toggle")
    stepping.shown_example.step("toggle")
    assert not stepping.shown_example.stepper.plays


def test_it_is_written_and_its_command_repeats_it(stepping: Any, tmp_path: Path) -> None:
    from foliolab.framework.verify.counterexample import Counterexample

    stepping.shown_example.save(tmp_path / "again.json")
    assert Counterexample.load(tmp_path / "again.json") == stepping.shown_example.example
    assert stepping.command_line.startswith(f"foliolab step {tmp_path / 'again.json'}")
    stepping.shown_example.save(tmp_path / "no" / "where.json")
    assert stepping.desk.notices.all[-1].severity == "error"


def test_the_plugin_of_a_file_is_loaded_only_when_the_user_says_so(
    open_window: Callable[..., Window], qtbot: Any, example: Path, tmp_path: Path
) -> None:
    import msgspec

    from foliolab.framework.verify.counterexample import Counterexample

    plugin, file = tmp_path / "lost.py", tmp_path / "race.json"
    plugin.write_text(RACE.read_text() + f"\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    msgspec.structs.replace(Counterexample.load(example), plugin=str(plugin)).save(file)
    window = open_window()
    assert window.open(file)
    (notice,) = window.notices.all
    assert "which is not loaded" in notice.text and str(plugin) in notice.text
    assert not (tmp_path / "ran").exists()
    notice.accept.click()
    workspace: Any = window.here
    qtbot.waitUntil(
        lambda: workspace.shown_example.stepper is not None and workspace.shown_example.stepper.timeline is not None,
        timeout=PATIENCE,
    )
    assert window.library.files == [str(plugin)] and not window.notices.all
    assert workspace.command_line == f"foliolab step {file} --plugin {plugin}"


@needs_native
def test_it_opens_in_explore(stepping: Any, qtbot: Any) -> None:
    window = stepping.window()
    stepping.shown_example.explore()
    assert window.here.name == "explore"
    qtbot.waitUntil(lambda: window.here.facts is not None, timeout=PATIENCE)
    assert window.here.facts.kind == "counterexample"
    assert window.here.facts.policies[0] == "lost-update"


def test_pictures_and_tables(stepping: Any, tmp_path: Path) -> None:
    from foliolab.gui.window.exporting import export

    stepping.shown_example.step("end")
    offered = list(stepping.exportables())
    assert {"claims", "sequence", "folio"} <= {one.name for one in offered}
    for one in offered:
        for form in one.forms:
            export(one, tmp_path / f"{one.name}{form}")
            assert (tmp_path / f"{one.name}{form}").stat().st_size > 50


def test_kept_verdicts_are_shown_with_their_date_and_version(window: Window, made_up_verdicts: None) -> None:
    window.go("verify")
    workspace: Any = window.here
    workspace.options.choose("mm-id")
    rows = {row[0]: row for row in workspace.claims.table()[1]}
    owed, safe = rows["owed"], rows["safe"]
    assert owed[1] == "✓ held" and "2026-11-01" in owed[-1] and "7.8.9" in owed[-1]
    assert safe[1] == "✗ refuted (stale)" and "2026-10-01" in safe[-1] and "4.5.6" in safe[-1]
    assert "stale" in safe[-1]


@pytest.mark.parametrize(("policy", "attacks"), [("no-such-policy", None), (None, [])])
def test_what_cannot_be_attacked_is_a_notice(window: Window, policy: str | None, attacks: list[str] | None) -> None:
    window.go("verify")
    workspace: Any = window.here
    if policy:
        workspace.options.choose(policy)
    workspace.options.limit(None, attacks)
    workspace.start_chosen()
    assert window.notices.all[-1].severity == "error"
    assert workspace.attacks.job is None


def test_the_memory_model_is_kept_and_that_of_older_sessions_understood(window: Window) -> None:
    import msgspec

    from foliolab.framework.verify.attacks import ATTACKS
    from foliolab.gui.verify.state import VerifyState

    window.go("verify")
    workspace: Any = window.here
    older = {"policy": "mm-id", "seconds": 5.0, "memory": "1G", "attacks": list(ATTACKS), "tso": True}
    msgspec.convert(older, VerifyState).choose(workspace.options)
    assert "--memory-model tso" in " ".join(workspace.options.attempt().command())
    workspace.options.model.setCurrentIndex(workspace.options.model.findData("armv8"))
    kept = workspace.state(None)
    workspace.options.model.setCurrentIndex(0)
    msgspec.convert(msgspec.to_builtins(kept), VerifyState).choose(workspace.options)
    assert workspace.options.attempt().model == "armv8"
    msgspec.convert({**older, "tso": False}, VerifyState).choose(workspace.options)
    assert workspace.options.attempt().model == "sc"


def test_nothing_to_step_save_or_explore_is_said(window: Window) -> None:
    window.go("verify")
    for name in ("on", "back", "first", "last", "play", "explore", "save"):
        window.notices.clear()
        window.commands.trigger(f"verify.{name}")
        assert "no counterexample" in window.notices.all[-1].text


def test_a_session_keeps_the_steps_that_are_shown(stepping: Any, qtbot: Any) -> None:
    stepper = stepping.shown_example.stepper
    part = stepper.diagram.part
    part.see(2, 6)
    assert (stepper.slider.minimum(), stepper.slider.maximum()) == (2, 6) and "2 to 6 shown" in stepper.where.text()
    stepper.go(2)
    stepper.toggle()
    stepper._timer.setInterval(1)
    qtbot.waitUntil(lambda: not stepper.plays, timeout=PATIENCE)
    assert stepper.step == 6, "what is played ends where the part ends"
    files = stepping.window().sessions._files
    state = stepping.state(files)
    assert (state.low, state.high, state.step) == (2, 6, 6)
    stepping.desk.commands.trigger("verify.time")
    assert part.whole
    stepping.restore(state, files)
    qtbot.waitUntil(lambda: (part.low, part.high, stepper.step) == (2, 6, 6), timeout=PATIENCE)


def test_a_changed_text_is_said(open_window: Callable[..., Window], qtbot: Any, tmp_path: Path, example: Path) -> None:
    from foliolab.gui.verify.attack_job import digest_of
    from foliolab.gui.verify.options import Attempt

    file = tmp_path / "mine.py"
    file.write_text(RACE.read_text())
    window = open_window(file)
    window.go("verify")
    workspace: Any = window.here
    workspace.attacks.attempt = Attempt("lost-update")
    workspace.attacks.digest = digest_of(window.library, "lost-update")
    with qtbot.waitSignal(window.library.changed, timeout=PATIENCE):
        file.write_text(RACE.read_text().replace("store(folio._shared, 1)", "store(folio._shared, 3)"))
    assert workspace.note.isVisible() and "has changed since" in workspace.note.text()


@needs_native
def test_saving_verifies_again_if_asked(open_window: Callable[..., Window], qtbot: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(RACE.read_text())
    window = open_window(file)
    window.send("verify", {"policy": "lost-update", "seconds": 20, "attacks": ["explored"], "start": True})
    workspace: Any = window.here
    qtbot.waitUntil(lambda: workspace.shown_example.stepper.timeline is not None, timeout=PATIENCE)
    workspace.options.again.setChecked(True)
    first = workspace.attacks.job
    with qtbot.waitSignal(window.library.changed, timeout=PATIENCE):
        file.write_text(RACE.read_text().replace("store(folio._shared, 1)", "store(folio._shared, 3)"))
    qtbot.waitUntil(lambda: workspace.attacks.job is not None and workspace.attacks.job is not first, timeout=PATIENCE)


@pytest.mark.parametrize("text", ['{"law": 1, "policy": 2, "shape": {}}', '{"law": "safe", "policy": "x", "shape"'])
def test_a_damaged_counterexample_is_a_notice(window: Window, tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    window.open(file)
    assert window.notices.all[-1].severity == "error"


@needs_native
def test_a_file_of_verdicts_is_opened_and_each_of_its_policies_shown(
    open_window: Callable[..., Window], qtbot: Any, tmp_path: Path
) -> None:
    from foliolab.framework.plugins import registry
    from foliolab.framework.verify import verifier
    from foliolab.framework.verify.attack import Attack, Budget
    from foliolab.framework.verify.explored.attack import Explored
    from foliolab.framework.verify.structural import Structural
    from foliolab.framework.verify.verifier import Verdicts

    found = registry.load([RACE])
    names = [next(name for name in found.policies if name != "lost-update"), "lost-update"]
    attacks: dict[str, tuple[Attack, float]] = {names[0]: (Structural(), 1.0), "lost-update": (Explored(), 120.0)}
    done = [
        verifier.verify(found.policy(name), [attack], Budget(seconds, 64 << 20), lambda news: None, 1, first=True,
                        command=f"foliolab verify {name}")
        for name, (attack, seconds) in attacks.items()
    ]  # fmt: skip
    path = tmp_path / "verdicts.json"
    Verdicts(verifications=done).save(path)

    window = open_window(RACE)
    assert window.open(path)
    workspace: Any = window.here
    assert workspace.name == "verify" and workspace.options.policy.currentText() == "lost-update"
    qtbot.waitUntil(lambda: workspace.shown_example.stepper.timeline is not None, timeout=PATIENCE)
    assert workspace.claims.examples and names[0] in workspace.note.text()
    assert workspace.repeated() == ["foliolab", "verify", "lost-update"]
    workspace.options.choose(names[0])
    assert workspace.note.isVisible() and "lost-update" in workspace.note.text()
    assert workspace.claims.table()[1][0][0] == "owed" and not workspace.claims.examples
    assert workspace.repeated() == ["foliolab", "verify", names[0]]


def test_verdicts_of_policies_that_are_not_here_are_said(open_window: Callable[..., Window], tmp_path: Path) -> None:
    from foliolab.framework.verify.verifier import Verdicts, Verification

    one = Verification(
        policy="of-elsewhere", digest="", claims=[], findings=[], interrupted=False, seconds=1.0, started="2026-11-24"
    )
    path = tmp_path / "verdicts.json"
    Verdicts(verifications=[one]).save(path)
    window = open_window()
    assert window.open(path)
    assert any("of-elsewhere" in notice.text for notice in window.notices.all)
    path.write_bytes(path.read_bytes()[:-20])
    assert not window.open(path)

"""Policy files that are being edited: saved in every way editors save, broken, mended, gone."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path(__file__).parents[1] / "plugins.py"


@pytest.fixture(scope="module")
def good() -> str:
    spec = importlib.util.spec_from_file_location("plugins_for_library", PLUGINS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.GOOD)


@pytest.fixture
def jobs(qtbot: Any) -> Iterator[Any]:
    from PySide6.QtCore import QObject

    from foliolab.gui.window.jobs import Jobs

    parent = QObject()
    made = Jobs(parent)
    yield made
    made.shut()


@pytest.fixture
def library(jobs: Any) -> Any:
    from foliolab.gui.window.library import Library

    return Library([], jobs)


@pytest.fixture
def opened(library: Any, qtbot: Any) -> Callable[[Path], str]:
    """Opens a file and waits until it is loaded, or cannot be."""

    def opens(file: Path) -> str:
        name: str = library.open(file)
        qtbot.waitUntil(lambda: library.settled, timeout=120_000)
        return name

    return opens


def names(library: Any) -> set[str]:
    return {policy.name for policy in library.policies}


def test_an_opened_file_is_listed(library: Any, good: str, tmp_path: Path, qtbot: Any) -> None:
    file = tmp_path / "mine.py"
    file.write_text(good.replace("NAME", "first"))
    with qtbot.waitSignal(library.changed, timeout=120_000):
        assert library.open(file) == str(file.resolve())
    assert "first" in names(library)
    assert library.names_of(str(file)) == ("first",)


@pytest.mark.parametrize("way", ["in place", "renamed over", "removed and written"])
def test_a_save_is_seen(
    library: Any, opened: Callable[[Path], str], good: str, tmp_path: Path, qtbot: Any, way: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(good.replace("NAME", "first"))
    opened(file)
    for name in ("second", "third"):
        with qtbot.waitSignals([library.saved, library.changed], timeout=120_000):
            if way == "in place":
                file.write_text(good.replace("NAME", name))
            elif way == "renamed over":
                other = tmp_path / "mine.py.tmp"
                other.write_text(good.replace("NAME", name))
                os.replace(other, file)
            else:
                file.unlink()
                file.write_text(good.replace("NAME", name))
        assert name in names(library)
        assert library.names_of(str(file)) == (name,)


def test_a_file_edited_into_nonsense_is_a_failure_and_comes_back(
    library: Any, opened: Callable[[Path], str], good: str, tmp_path: Path, qtbot: Any
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(good.replace("NAME", "mine"))
    opened(file)
    with qtbot.waitSignal(library.changed, timeout=120_000):
        file.write_text("def f(:\n")
    failure = library.failure_of(str(file))
    assert failure is not None and "SyntaxError" in failure.message
    assert "mine" not in names(library)
    assert len(library.policies) > 5, "the others stay"
    with qtbot.waitSignal(library.changed, timeout=120_000):
        file.write_text(good.replace("NAME", "mine"))
    assert library.failure_of(str(file)) is None
    assert "mine" in names(library)


def test_a_file_that_is_removed_is_a_failure(
    library: Any, opened: Callable[[Path], str], good: str, tmp_path: Path, qtbot: Any
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(good.replace("NAME", "mine"))
    opened(file)
    with qtbot.waitSignal(library.changed, timeout=120_000):
        file.unlink()
    assert "mine" not in names(library)


def test_a_cancelled_translation_is_said_and_can_be_repeated(
    library: Any, jobs: Any, tmp_path: Path, qtbot: Any
) -> None:
    file = tmp_path / "mine.c"
    file.write_text("int x;\n")
    said: list[str] = []
    with qtbot.waitSignal(library.changed, timeout=120_000):
        library.open(file, said.append)
        jobs.running[0].cancel()
    assert "was cancelled" in library.failure_of(str(file)).message and said == [str(file)]
    with qtbot.waitSignal(library.changed, timeout=120_000):
        library.open(file)
    assert "was cancelled" not in library.failure_of(str(file)).message, "it was tried"


def test_a_closed_file_is_forgotten(library: Any, opened: Callable[[Path], str], good: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(good.replace("NAME", "mine"))
    name = opened(file)
    assert "mine" in names(library)
    library.close(name)
    assert "mine" not in names(library) and not library.files


@pytest.mark.parametrize(
    "text, why", [("while True:\n    pass\n", "did not end"), ("import os\nos.abort()\n", "SIGABRT")]
)
def test_a_file_that_hangs_or_crashes_is_a_failure_meanwhile_the_window_goes_on(
    library: Any, opened: Callable[[Path], str], tmp_path: Path, qtbot: Any, text: str, why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from PySide6.QtCore import QTimer

    from foliolab.framework.plugins import discovery
    from foliolab.gui.window import trial

    monkeypatch.setattr(discovery, "SECONDS", 1.0)
    monkeypatch.setattr(trial, "LATEST", 30.0)
    beats: list[int] = []
    heart = QTimer(interval=10)
    heart.timeout.connect(lambda: beats.append(1))
    heart.start()
    (tmp_path / "bad.py").write_text(text)
    opened(tmp_path / "bad.py")
    assert why in library.failure_of(str(tmp_path / "bad.py")).message and len(library.policies) > 5
    assert beats, "the loop ran while the file was loaded"
    tried: list[str] = []
    monkeypatch.setattr("foliolab.framework.plugins.dry_run.begin", lambda source, read: tried.append(source.where))
    library.reload()
    assert not any(name.endswith("bad.py") for name in tried), "it is not tried again before it changes"
    heart.stop()


@pytest.mark.parametrize("name", ["absent.py", "text.txt", "folder.py", "circle.py", "zero\0byte.c"])
def test_what_is_no_policy_file_is_refused(library: Any, tmp_path: Path, name: str) -> None:
    from foliolab.framework.errors import UsageError

    (tmp_path / "text.txt").write_text("x")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "circle.py").symlink_to(tmp_path / "circle.py")
    with pytest.raises(UsageError, match=r"is not a policy file|cannot be found"):
        library.open(tmp_path / name)


def test_only_what_there_is_is_usable(library: Any) -> None:
    first = library.policies[0].name
    assert library.usable([first, "no-such-policy", f"{first}:no_such=1"]) == [first]

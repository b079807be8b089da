"""Ctrl-C is not lost in code that ignores exceptions: imports, callbacks of weak references, evaluated strings."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

from foliolab.framework.isolation.signals import IMPORT_SECONDS, note, received, stops_kept

PATIENCE = 60.0


def interrupt(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


def wait() -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_outside_of_an_import_is_raised_at_once(number: int) -> None:
    before = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    try:
        with stops_kept():
            with pytest.raises(KeyboardInterrupt):
                interrupt(number)
            assert received() == number
        assert signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL)
        assert not received()
        note(number)
        assert not received()
    finally:
        signal.signal(number, before)


def test_ctrl_c_in_an_import_that_ignores_exceptions_is_raised_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException:\n    lost = True\n"
    (tmp_path / "ignores_all.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), stops_kept():
        module = importlib.import_module("ignores_all")
        wait()
    assert not hasattr(module, "lost")
    del sys.modules["ignores_all"]


TEXT_OF_A_PROGRAM = """
import os, signal, sys, time
from foliolab.framework.isolation.signals import stops_kept
TEXT = "os.kill(os.getpid(), signal.SIGTERM)"
try:
    with stops_kept():
        {statement}
        time.sleep({patience})
except KeyboardInterrupt:
    sys.exit(143)
"""


@pytest.mark.parametrize("statement", ["eval(TEXT)", "exec(TEXT)", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_a_signal_while_a_string_is_evaluated_leaves_the_exit_code_to_the_program(
    statement: str, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(TEXT_OF_A_PROGRAM.format(statement=statement, patience=PATIENCE))
    command = [sys.executable, "-m", "program"]
    assert subprocess.run(command, timeout=PATIENCE, cwd=tmp_path, check=False).returncode == 143


def test_ctrl_c_ends_an_import_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = f"import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep({PATIENCE + IMPORT_SECONDS})\n"
    (tmp_path / "hangs.py").write_text(loop + "ended = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), stops_kept():
        importlib.import_module("hangs")
    assert "hangs" not in sys.modules


def test_ctrl_c_in_a_callback_is_raised_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing, lambda dead: interrupt())
    hook = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), stops_kept():
        del thing
        gc.collect()
        wait()
    assert reference() is None
    assert sys.unraisablehook is hook
    assert capsys.readouterr().err == ""


def test_another_handler_stays() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stops_kept():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


STARTS = (
    ["-c", "from foliolab.framework.start import main; main()"],
    ["-m", "foliolab.framework.cli"],
    ["-c", "from foliolab.gui.launch import entry; entry()"],
)


@pytest.mark.parametrize("start", STARTS)
def test_ctrl_c_while_the_program_is_imported_ends_it_without_a_word(start: list[str], tmp_path: Path) -> None:
    for module in ("click", "typer", "PySide6"):
        (tmp_path / f"{module}.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(600)\n")
    process = subprocess.Popen(
        [sys.executable, "-P", *start, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE)[1] == ""
    assert process.returncode == -signal.SIGINT


def test_what_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    code = (
        "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from foliolab.framework.start import end_quietly; end_quietly(); os.kill(os.getpid(), signal.SIGINT)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE, check=False).returncode == 0

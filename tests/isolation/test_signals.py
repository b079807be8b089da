"""Ctrl-C is not lost in code that ignores exceptions: imports, and callbacks of weak references."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import time
import weakref
from pathlib import Path

import pytest

from foliolab.framework.isolation.signals import IMPORT_SECONDS, ctrl_c_kept

PATIENCE = 60.0


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def wait() -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(0.01)


def test_ctrl_c_outside_of_an_import_is_raised_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), ctrl_c_kept():
        interrupt()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_in_an_import_that_ignores_exceptions_is_raised_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException:\n    lost = True\n"
    (tmp_path / "ignores_all.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), ctrl_c_kept():
        module = importlib.import_module("ignores_all")
        wait()
    assert not hasattr(module, "lost")
    del sys.modules["ignores_all"]


def test_ctrl_c_ends_an_import_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = f"import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep({PATIENCE + IMPORT_SECONDS})\n"
    (tmp_path / "hangs.py").write_text(loop + "ended = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), ctrl_c_kept():
        importlib.import_module("hangs")
    assert "hangs" not in sys.modules


def test_ctrl_c_in_a_callback_is_raised_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing, lambda dead: interrupt())
    hook = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), ctrl_c_kept():
        del thing
        gc.collect()
        wait()
    assert reference() is None
    assert sys.unraisablehook is hook
    assert capsys.readouterr().err == ""


def test_another_handler_stays() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ctrl_c_kept():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

"""A plugin's reader of traces that hangs is told of and ended; one that waits for its text is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from foliolab.framework.errors import PluginError
from foliolab.framework.plugins import registry
from foliolab.framework.trace import importers
from foliolab.framework.trace.importers import checked

READER = """
import re, time
from foliolab.framework.api import TraceReader, hookimpl, trace_records

def forever(*_):
    while True:
        time.sleep(0.01)  # here

def read(source):
    for line in source:
        yield trace_records.Fault(5, 0, 7, 7, 4096, 7, False)
        LOOP

@hookimpl
def foliolab_trace_readers():
    return [TraceReader("mine", "lines of my own", RECOGNISE, read)]
"""


def hanging(tmp_path: Path, loop: str, recognise: str = "lambda head: True") -> tuple[Path, int]:
    """A plugin's file whose reader hangs, and the line that does."""
    plugin = tmp_path / "mine.py"
    plugin.write_text(READER.replace("LOOP", loop).replace("RECOGNISE", recognise))
    (tmp_path / "text").write_text("mine 1\nmine 2\n")
    mark = "# here" if "forever" in loop + recognise else loop.partition("\n")[0]
    return plugin, next(i for i, line in enumerate(plugin.read_text().splitlines(), 1) if mark in line)


@pytest.mark.parametrize("loop", ["forever()", 're.match("(a+)+$", "a" * 60 + "b")'])
def test_a_reader_that_hangs_is_told_of_and_ended(
    loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin, line = hanging(tmp_path, loop)
    readers = importers.with_plugins(registry.load([plugin], strict=True).trace_readers.values())
    monkeypatch.setattr(checked, "TOLD_SECONDS", 1)
    monkeypatch.setattr(checked, "READ_SECONDS", 2)
    with pytest.raises(PluginError, match=r"reader mine: read hangs on .*text, line 1: no line read") as caught:
        importers.convert(tmp_path / "text", tmp_path / "out", "mine", readers)
    assert f"{plugin}:{line}" in caught.value.what
    said = capfd.readouterr().err
    assert said.startswith("foliolab: trace reader mine has read no line and made no record for 1 s on ")
    assert f"{plugin}:{line}" in said
    assert not (tmp_path / "out").exists()


def test_a_reader_that_hangs_while_it_recognises_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin, line = hanging(tmp_path, "pass", "forever")
    readers = importers.with_plugins(registry.load([plugin], strict=True).trace_readers.values())
    monkeypatch.setattr(checked, "RECOGNISE_SECONDS", 0.5)
    with pytest.raises(PluginError, match=f"recognise did not end within 0.5 s; it was at {plugin}:{line}"):
        importers.convert(tmp_path / "text", tmp_path / "out", readers=readers)


def test_waiting_for_a_text_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin, _ = hanging(tmp_path, "pass")
    readers = importers.with_plugins(registry.load([plugin], strict=True).trace_readers.values())
    monkeypatch.setattr(checked, "READ_SECONDS", 1)
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(["sh", "-c", "(echo mine 1; sleep 3; echo mine 2) > pipe"], cwd=tmp_path)
    importers.convert(tmp_path / "pipe", tmp_path / "out", "mine", readers)
    assert writer.wait() == 0


def test_ctrl_c_ends_a_reader_that_swallows_it(tmp_path: Path) -> None:
    swallow = "try: print('hangs', flush=True); time.sleep(600)\n        except: pass"
    plugin, _ = hanging(tmp_path, swallow)
    process = subprocess.Popen(
        [sys.executable, "-m", "foliolab.framework.cli", "import", tmp_path / "text", "--plugin", plugin],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "hangs\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 130

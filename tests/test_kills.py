"""Some of the kills of `tests/benchmarks/kills.py`: nothing is lost, and nobody and nothing is left."""

from __future__ import annotations

import importlib.util
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    path = Path(__file__).parent / "benchmarks" / "kills.py"
    spec = importlib.util.spec_from_file_location("kills", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kills"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.mark.host  # it compares the host's settings, which other tests of the host change
@pytest.mark.parametrize(
    ("name", "number", "seed"),
    [
        ("verify", signal.SIGKILL, 1),
        ("sweep", signal.SIGTERM, 2),
        ("record", signal.SIGKILL, 3),
        ("precision", signal.SIGHUP, 4),
    ],
)
def test_a_kill_leaves_nothing_and_loses_nothing(
    name: str, number: signal.Signals, seed: int, kills: ModuleType, tmp_path: Path
) -> None:
    command = next(one for one in kills.COMMANDS if one.name == name)
    if why := command.unable():
        pytest.skip(why)
    with kills.default_signals():
        made = kills.Kills(replace(command, whole=False), tmp_path, seed)
        made.kill(number)
    assert sum(made.row.signals.values()) == 1
    assert [what for found in made.row.wrong.values() for what in found] == []


def test_what_is_wrong_is_found(kills: ModuleType, tmp_path: Path) -> None:
    command = kills.Command("made up", ("--version",), "r*.json", kills._cells)
    made = kills.Kills(command, tmp_path, 1)
    (made.work / "said.txt").write_text("mm-id: random: refuted: safe: folio 0\n")
    (made.work / "r.json").write_text("{")
    (made.work / ".r.json.1-x.tmp").write_text("")
    made._lost(signal.SIGKILL, {made.work / "r.json": 3})
    assert len(made.row.wrong["lost"]) == 3
    made.nothing_left()
    assert len(made.row.wrong["left"]) == 1
    assert kills.table([made.row]).splitlines()[-1] == "| made up | 0 | 0 | 0 | 0 | 0.00 s | 0 | 3 | 0 | 1 | 0 |"

"""A replay runs code for one thread alone: it leaves what code for any number of threads leaves."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.replay import player
from foliolab.framework.replay.player import Plan, Player
from foliolab.framework.replay.survey import survey
from foliolab.framework.trace.file import Trace
from foliolab.policies import foliolab_policies

pytestmark = pytest.mark.skipif(bool(native_missing()), reason="numba cannot be imported")
EVENTS = 30_000


def _streams() -> ModuleType:
    place = Path(__file__).parents[1] / "benchmarks" / "replay.py"
    spec = importlib.util.spec_from_file_location("replay_streams", place)
    assert spec is not None and spec.loader is not None
    module = sys.modules.setdefault("replay_streams", importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=["snapshot", "workers"])
def trace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trace:
    path = tmp_path_factory.mktemp("streams") / request.param
    _streams().generate(path, request.param, EVENTS)
    return Trace(path)


def _played(trace: Trace, scheme: Scheme) -> tuple[dict[str, Any], bytes]:
    def quiet(phase: str, done: int, total: int) -> None:
        pass

    found = Player(Plan(trace, survey(trace, quiet), 1 << 30, 20, "native", quiet), scheme)
    found.run()
    assert found.machine is not None
    counted = msgspec.to_builtins(found.account.replayed(scheme.name))
    assert counted.pop("seconds") > 0
    assert counted["events"] >= EVENTS
    return counted, found.machine.vm.buffer.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("policy", foliolab_policies(), ids=lambda p: p.name)
def test_figures_and_memory_are_equal_byte_for_byte(policy: Any, trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = policy.with_parameters()
    one_thread = _played(trace, scheme)
    made: list[bool] = []

    def any_threads(*arguments: Any, one_thread: bool) -> Machine:
        made.append(one_thread)
        return Machine(*arguments)

    monkeypatch.setattr(player, "Machine", any_threads)
    assert _played(trace, scheme) == one_thread
    assert made == [True], "the replay asked for code for one thread"

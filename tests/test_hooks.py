"""Every hook of both contracts is called, when the reference says so and with what it says."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.contract.hooks import HOOK_ARGUMENTS, Hooks
from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine import hooks as defaults
from foliolab.framework.engine import policytree
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.plugins.registry import KINDS, load

SHAPE = Shape(nr_pages=2048, nr_mms=3, nr_vpns=2048)
PMD = 512
TEXT = """
from foliolab.framework.api import atomic_read
from foliolab.policies import mm_id


class Calls:
    seen = []
"""
ANSWERS = {
    "prepare": "None",
    "release": "None",
    "dup_page": "mm_id.dup_page(page)",
    "move_pte": "None",
    "mapcount": "atomic_read(folio._large_mapcount) + 1",
    "entire_mapcount": "atomic_read(folio._entire_mapcount) + 1",
    "page_mapcount": "atomic_read(page._mapcount) + 1 + hook_entire_mapcount(folio)",
    "page_exclusive": "hook_page_mapcount(folio, page) == 1",
}
"""What a hook answers that the policy `mm-id` leaves to the default."""


class Noted:
    """A machine under the policy `mm-id`, each of whose hooks notes that it was called, and with which numbers."""

    def __init__(self, module: Any, policy: Policy) -> None:
        self.machine = Machine(policy.with_parameters(), SHAPE, "interpreted")
        self.machine.create(0)
        self._calls = module.Calls.seen
        self._calls.clear()

    def called(self) -> list[tuple[Any, ...]]:
        """What was called since the last time one asked."""
        found = list(self._calls)
        self._calls.clear()
        return found

    def names(self) -> set[str]:
        return {one[0] for one in self.called()}


def arguments(name: str) -> list[str]:
    return list(inspect.signature(getattr(defaults, name)).parameters)


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Noted]:
    monkeypatch.setattr(policytree, "check_text", lambda tree, scheme: None)  # its hooks tell a Python object
    base = load().policies["mm-id"]
    parts = [TEXT]
    for name in HOOK_ARGUMENTS:
        given = ", ".join(arguments(name))
        seen = ", ".join([repr(name), *(one for one in arguments(name) if one in ("nr", "vpn", "to"))])
        answer = ANSWERS.get(name, f"mm_id.{name}({given})")
        parts.append(f"\n\ndef hook_{name}({given}):\n    Calls.seen.append(({seen},))\n    return {answer}\n")
    file = tmp_path / "noted.py"
    file.write_text("".join(parts))
    spec = importlib.util.spec_from_file_location("noted_hooks", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["noted_hooks"] = module
    spec.loader.exec_module(module)
    hooks = Hooks(**{name: getattr(module, f"hook_{name}") for name in HOOK_ARGUMENTS})
    yield Noted(module, replace(base, name="noted", models=None, mutants=None, hooks=hooks))
    del sys.modules["noted_hooks"]


def test_a_new_folio(noted: Noted) -> None:
    noted.machine.populate(0, 0, 32, 4)
    assert noted.called() == [("prepare",), ("new_anon", 16), ("prepare",), ("new_anon", 16)]
    noted.machine.populate(0, PMD, PMD, 9, pmd=True)
    assert noted.called() == [("prepare",), ("new_anon_pmd",)]


def test_fork(noted: Noted) -> None:
    noted.machine.populate(0, 0, 16, 4)
    noted.machine.populate(0, PMD, PMD, 9, pmd=True)
    noted.called()
    noted.machine.fork(0, 1)
    assert [one for one in noted.called() if one[0].startswith("dup")] == [
        *[("dup_page",)] * 16,
        ("dup_ptes", 16),
        ("dup_pmd",),
    ]


def test_a_file(noted: Noted) -> None:
    machine = noted.machine
    small, large = machine.file_folio(4), machine.file_folio(9)
    assert noted.called() == [("prepare",), ("prepare",)]
    machine.map_file(0, 0, small + 4, 8)
    assert noted.called() == [("add_ptes", 8)]
    machine.map_file(0, PMD, large, PMD, pmd=True)
    assert noted.called() == [("add_pmd",)]


def test_unmapping(noted: Noted) -> None:
    machine = noted.machine
    machine.populate(0, 0, 16, 4)
    machine.populate(0, PMD, PMD, 9, pmd=True)
    noted.called()
    machine.unmap(0, 4, 8)
    assert noted.called() == [("remove_ptes", 8)]
    machine.unmap(0, PMD, PMD)
    assert noted.called() == [("remove_pmd",), ("release",)]
    machine.unmap(0, 0, 16)
    assert [one for one in noted.called() if one[0] in ("remove_ptes", "release")] == [
        ("remove_ptes", 4),
        ("remove_ptes", 4),
        ("release",),
    ]


def test_moving_is_told_page_by_page_with_both_places(noted: Noted) -> None:
    noted.machine.populate(0, 0, 4, 2)
    noted.called()
    noted.machine.mremap(0, 1, 100, 2)
    assert noted.called() == [("move_pte", 1, 100), ("move_pte", 2, 101)]


def test_whoever_asks(noted: Noted) -> None:
    machine = noted.machine
    machine.populate(0, 0, 16, 4)
    head = machine.frame(0, 0)
    machine.fork(0, 1)
    noted.called()
    machine.maybe_shared(head)
    assert noted.names() == {"maybe_mapped_shared"}
    assert machine.mapcount(head) == 32
    assert noted.names() == {"mapcount"}
    assert machine.kpagecount(head) == 2
    assert noted.names() >= {"page_mapcount", "entire_mapcount"}
    assert machine.exclusive(head) is False
    assert "page_exclusive" in noted.names()
    machine.exit(1)
    noted.called()
    assert machine.write(0, 3) == "reused"
    assert "can_reuse" in noted.names()


PLUGIN = """
from foliolab.framework.api import (
    Action, Asker, Detector, Hooks, Policy, Reporter, SharingPattern, Stored, TraceReader, View, Workload, atomic_set,
    hookimpl,
)
from foliolab.policies.exact import POLICY
from foliolab.framework.operations import Caller, copy_huge_pmd

HERE = {here!r}


@hookimpl
def foliolab_policies():
    from dataclasses import replace
    return [replace(POLICY, name="mine")]


@hookimpl
def foliolab_workloads():
    return [Workload(name="my-workload", summary="nothing", prepare=lambda machine, setting: lambda: None)]


@hookimpl
def foliolab_sharing_patterns():
    return [SharingPattern(name="my-pattern", summary="nothing", play=lambda processes, usage: None)]


@hookimpl
def foliolab_callers():
    return [Caller(name="my-fork", summary="nothing", replace=((copy_huge_pmd, lambda vm, parent, child, vpn: True),))]


@hookimpl
def foliolab_askers():
    says = dict(who="me", when="always", exclusive="this", shared="that", source="here")
    return [Asker(name="my-asker", ask=lambda moment: moment.by_answer(moment.pairs), **says)]


@hookimpl
def foliolab_detectors():
    leave = lambda known: Action.NOTHING
    return [Detector(name="my-detector", summary="nothing", references=(), at_removal=leave, in_shrinker=leave)]


@hookimpl
def foliolab_published():
    return [HERE + "/figures.toml"]


@hookimpl
def foliolab_scenarios():
    return [HERE + "/my-scenario.scenario"]


@hookimpl
def foliolab_findings():
    return [HERE + "/findings.json"]


@hookimpl
def foliolab_witnesses():
    return [HERE + "/witnesses.json"]


@hookimpl
def foliolab_reporters():
    return [Reporter("my-format", "lines of mine", lambda result, rows: "")]


@hookimpl
def foliolab_trace_readers():
    return [TraceReader("mine", "lines of mine", lambda head: False, lambda source: iter(()))]


@hookimpl
def foliolab_views():
    return [View("my-view", "nothing", lambda desk: None)]
"""


def test_a_plugin_may_have_every_hook(tmp_path: Path) -> None:
    for name in ("figures.toml", "my-scenario.scenario", "findings.json", "witnesses.json"):
        (tmp_path / name).write_text("")
    file = tmp_path / "plugin.py"
    file.write_text(PLUGIN.replace("{here!r}", repr(str(tmp_path))))
    assert all(f"def {kind.hook}(" in PLUGIN for kind in KINDS)
    registry = load([file], strict=True)
    assert "mine" in registry.policies
    assert "my-workload" in registry.workloads
    assert "my-pattern" in registry.patterns
    assert "my-asker" in registry.askers
    assert "my-detector" in registry.detectors
    assert "my-fork" in registry.callers
    assert tmp_path / "figures.toml" in registry.published.values()
    assert registry.scenarios["my-scenario"] == tmp_path / "my-scenario.scenario"
    assert tmp_path / "findings.json" in registry.findings.values()
    assert tmp_path / "witnesses.json" in registry.witnesses.values()
    assert list(registry.trace_readers) == ["mine"]
    assert list(registry.reporters) == ["my-format"]
    assert list(registry.views) == ["my-view"]

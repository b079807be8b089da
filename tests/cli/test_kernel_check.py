"""`foliolab kernel check`: what it prints, its exit codes, and what it refuses before it touches the machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foliolab.framework.cli.kernel import check as verb
from foliolab.framework.kernel import check as checking
from foliolab.framework.kernel import probe, running
from foliolab.framework.kernel.probe import Capability
from foliolab.framework.plugins.registry import load
from foliolab.framework.scenario.parser import load as load_scenario

pytestmark = pytest.mark.host
Run = Callable[..., Any]
WAIT = ("--wait", "240")


@pytest.fixture
def kernel() -> str:
    """The name of the policy that models this kernel, or why it cannot be checked."""
    for name in ("Linux", "root", "THP settings", "PFNs", "kpagecount", "kpageflags", "pidfd"):
        found = probe.capability(name)
        if not found.available:
            pytest.skip(f"{name}: {found.reason}")
    scheme = running.matching(load())
    if scheme is None:
        pytest.skip(f"no policy models {running.read().described}")
    return scheme.policy.name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--orders", "1"], "no anonymous folios of order 1"),
        (["--orders", "2-10"], "no anonymous folios of order 10"),
        (["--orders", "two"], "'two' is not an order"),
        (["--orders", ""], "is not an order"),
        (["--against", "mm-di"], "mm-id"),
        (["--scenarios", "0"], "--scenarios"),
        (["--exhaustive", "9"], "--exhaustive"),
    ],
)
def test_what_it_refuses(foliolab: Run, arguments: list[str], says: str) -> None:
    done = foliolab("kernel", "check", *arguments)
    assert done.code == 2
    assert says in done.err


def test_on_a_machine_that_is_not_linux(foliolab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        probe, "capability", lambda name: Capability(name, False, "this is Darwin; the model runs everywhere")
    )
    monkeypatch.setattr(running, "matching", lambda registry: load().policy("mm-id"))
    done = foliolab("kernel", "check")
    assert done.code == 3
    assert "this is Darwin" in done.err and done.out == ""


def test_a_kernel_that_no_policy_models(foliolab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "matching", lambda registry: None)
    done = foliolab("kernel", "check")
    assert done.code == 3
    assert "no policy is known to model" in done.err and "--identify" in done.err and "--against" in done.err


def test_it_agrees(foliolab: Run, kernel: str) -> None:
    done = foliolab("kernel", "check", "--scenarios", "8", "--orders", "0,2,4", *WAIT)
    assert done.code == 0, done.out + done.err
    assert f"Every outcome on a large folio is what {kernel} predicts (8 scenarios" in done.out
    assert "large    copied" in done.out and "order-0" in done.out


def test_json(foliolab: Run, kernel: str) -> None:
    done = foliolab("kernel", "check", "--scenarios", "3", "--orders", "2", "--json", *WAIT)
    found = json.loads(done.out)
    assert done.code == 0
    assert found["policy"] == kernel and found["scenarios"] == 3 and found["complete"]
    assert found["disagreements"] == [] and all(row["model"] == row["kernel"] for row in found["tally"])


def test_a_refuted_policy_leaves_a_scenario_that_can_be_run_again(foliolab: Run, kernel: str, tmp_path: Path) -> None:
    other = "no-page-mapcount" if kernel != "no-page-mapcount" else "page-mapcount"
    folder = tmp_path / "found"
    done = foliolab("kernel", "check", "--against", other, "--orders", "2", "--save", folder, *WAIT)
    assert done.code == 1
    assert f"{other} is refuted by this kernel" in done.out
    (file,) = folder.glob("*.scenario")
    assert len(load_scenario(file).steps) <= 3
    again = foliolab("run", file, "--policy", other, "--on", "both", *WAIT)
    assert "Traceback" not in again.err and again.out


FEW = """
from dataclasses import replace
from foliolab.framework.api import hookimpl
from foliolab.policies import mm_id, mm_id_mutants


def mutants():
    return tuple(one for one in mm_id_mutants.mutants() if one.name in ("never-reuse", "single-mapping-asks-the-flag"))


@hookimpl
def foliolab_policies():
    return [replace(mm_id.POLICY, name="few", models=None, mutants=mutants)]
"""


def test_the_self_test(foliolab: Run, kernel: str, tmp_path: Path) -> None:
    plugin = tmp_path / "few.py"
    plugin.write_text(FEW)
    chosen = ("--plugin", plugin, "--against", "few", "--orders", "2")
    done = foliolab("kernel", "check", "--self-test", "--scenarios", "3", *chosen, *WAIT)
    assert done.code == 1  # so few scenarios cannot catch the rarer one
    assert "✓ caught never-reuse" in done.out and "✗ missed single-mapping-asks-the-flag" in done.out
    assert "1 of 2 were missed" in done.out


def test_a_policy_without_wrong_variants(foliolab: Run, kernel: str) -> None:
    done = foliolab("kernel", "check", "--self-test", "--against", "exact", *WAIT)
    assert done.code == 3
    assert "has no wrong variants" in done.err


def test_too_many_processors(foliolab: Run, kernel: str) -> None:
    import os

    if len(os.sched_getaffinity(0)) >= 64:
        pytest.skip("there are that many")
    done = foliolab("kernel", "check", "--cpus", "64")
    assert done.code == 2 and "processors" in done.err


def test_without_root_what_is_missing_is_named(foliolab: Run, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no size is enabled nothing can be checked, and each reason is said."""
    from foliolab.framework.kernel import settings

    real = probe.capability
    monkeypatch.setattr(
        probe, "capability", lambda name: Capability(name, False, "user id 1000") if name == "root" else real(name)
    )
    monkeypatch.setattr(settings, "resolved_mode", lambda kib: "never")
    done = foliolab("kernel", "check")
    assert done.code == 3
    assert "this host has no large folios" in done.err


@pytest.mark.parametrize(
    ("orders", "failed", "code", "says"),
    [
        ([], ["one: no memory"], 1, "1 scenarios could not be run on this kernel"),
        (["--orders", "0,2,3"], [], 1, "folios of order 3 were asked for and not checked"),
        (["--orders", "0,2"], [], 0, ""),
        ([], [], 0, ""),
    ],
)
def test_what_was_asked_for_and_not_checked_is_a_failure(
    foliolab: Run, monkeypatch: pytest.MonkeyPatch, orders: list[str], failed: list[str], code: int, says: str
) -> None:
    agreement = checking.Agreement(scenarios=3, complete=True, failed=failed)
    monkeypatch.setattr(probe, "require", lambda: None)
    monkeypatch.setattr(running, "read", lambda: SimpleNamespace(described="a kernel"))
    monkeypatch.setattr(verb, "_possible", lambda mix: (replace(mix, orders=(0, 2)), []))
    monkeypatch.setattr(checking, "Session", lambda *_: nullcontext())
    monkeypatch.setattr(checking, "check", lambda *_, **__: agreement)
    done = foliolab("kernel", "check", "--against", "mm-id", "--exhaustive", "1", *orders)
    assert done.code == code and says in done.err


def test_it_is_light_to_ask_for_help() -> None:
    import subprocess

    code = "import sys; from foliolab.framework.cli.kernel import check; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

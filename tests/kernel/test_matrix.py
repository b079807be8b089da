"""Kernels × policies, on kernels that the engine plays: which policy is found, and what a lost kernel costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.csource import ccompiler
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import matrix
from foliolab.framework.kernel.agent.channel import Gone
from foliolab.framework.kernel.images.store import Image
from foliolab.framework.kernel.matrix import Plan, Row
from foliolab.framework.kernel.oracle import Conditions
from foliolab.framework.kernel.running import Running
from foliolab.framework.kernel.session import Session
from foliolab.framework.plugins.registry import load
from foliolab.framework.report import kernelmatrix
from foliolab.framework.report.pages.plain_text import Plain
from foliolab.framework.scenario.generate import Mix
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.syntax import Scenario

ORDERS = (0, 2, 3, 4, 5, 6, 7, 8, 9)
PLAN = Plan(12, 1, Mix(orders=(0, 2, 3)), short_steps=1)
SHORT = replace(PLAN, short_steps=3)
FILES = {4 << order: f"/sys/{order}" for order in ORDERS if order}


class Played(Session):
    """A kernel that behaves like a policy.

    Args:
        policy: its name.
        lives: the number of scenarios after which it is gone.
        lacks: an action that it refuses.
    """

    name = "kernel played"

    def __init__(self, policy: str, lives: int = 1 << 30, lacks: str = "") -> None:
        super().__init__()
        self.scheme = load().policy(policy)
        self.lives = lives
        self.lacks = lacks
        self.kernel = Running("6.18.0", {"CONFIG_MM_ID": "y", "CONFIG_PAGE_MAPCOUNT": "y"})
        self.accelerator, self.note, self.boot_seconds = "tcg", "", 1.5
        self.played: list[Scenario] = []

    def _start(self, stack: object) -> None:
        self.conditions = Conditions((0,), FILES, swap=True, nodes=(0, 1))

    def run(self, scenario: Scenario) -> list[Record]:
        self.played.append(scenario)
        if any(step.action == self.lacks for step in scenario.steps):
            raise KernelError(f"{self.name} refused {self.lacks}: Function not implemented")
        if len(self.played) > self.lives:
            raise Gone(f"{self.name} has ended: QEMU was killed, after: Kernel panic - not syncing: told to")
        return [replace(record, causes=()) for record in Model(scenario, self.scheme).run()]


@pytest.fixture(scope="module")
def schemes() -> list[Scheme]:
    return [load().policy(name) for name in ("page-mapcount", "mm-id", "no-page-mapcount")]


@pytest.fixture(scope="module")
def row(schemes: list[Scheme]) -> Callable[..., Row]:
    """The row of a kernel that is played; the same row for the same question."""

    @cache
    def made(policy: str, plan: Plan = PLAN, **options: Any) -> Row:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(matrix, "Guest", lambda image, cpus, nodes: Played(policy, **options))
            return matrix.guest_row(Image("played", Path("vmlinuz")), schemes, plan)

    return made


def text(rows: list[Row], identify: bool = False) -> str:
    stream = StringIO()
    kernelmatrix.render(rows, ["page-mapcount", "mm-id", "no-page-mapcount"], Plain(stream), identify)
    return stream.getvalue()


@pytest.mark.parametrize("policy", ["page-mapcount", "mm-id", "no-page-mapcount"])
def test_a_kernel_is_found_to_behave_like_its_policy_alone(policy: str, row: Callable[..., Row]) -> None:
    found = row(policy)
    assert found.behaves_like == [policy] and found.lost == ""
    assert found.agreements[policy].complete and found.agreements[policy].writes > 100
    assert f"it behaves like {policy}, out of 3 policies" in kernelmatrix.identified(found)


def test_the_table(row: Callable[..., Row]) -> None:
    found = row("mm-id", SHORT)
    assert found.claims == ("mm-id",) and found.refuted_claims == []
    shown = text([found])
    lines = shown.splitlines()
    assert lines[0].split() == ["kernel", "page-mapcount", "mm-id", "no-page-mapcount"]
    assert lines[1].split() == ["played", "✗", "outcome", "✓", f"{found.writes:,}", "*", "✗", "kpagecount"]
    assert "in a guest (TCG); answered after 1.5 s" in shown
    assert "✓ mm-id (claims to model it): " in shown
    assert "A: fork B\n        A: exit\n        B: write heap[0]" in shown  # the shortest for page-mapcount
    assert "A: fork B\n        A: write heap[0]  " in shown  # and for no-page-mapcount
    assert shown.splitlines()[-1].startswith("1 of 1 kernels")


def test_a_kernel_that_no_policy_claims_is_no_nothing(row: Callable[..., Row]) -> None:
    """A kernel whose configuration is unknown is claimed by no policy, and may behave like one all the same."""
    found = replace(row("mm-id", SHORT), name="7.0", claims=())
    assert kernelmatrix.verdict([found]) == (
        f"no policy claims to model 7.0, and all that was played there is as predicted by mm-id ({found.writes:,} page "
        "writes)."
    )
    assert kernelmatrix.verdict([row("mm-id", SHORT), found]).startswith("1 of 2 kernels do all that the policy")


def test_a_claim_that_does_not_hold(row: Callable[..., Row]) -> None:
    found = row("page-mapcount")  # and its options say MM IDs
    assert found.refuted_claims == ["mm-id"]
    assert "differs: mm-id on played" in kernelmatrix.verdict([found])
    assert "✗ outcome *" in text([found])


def test_a_policy_is_compared_no_more_after_so_many_differences(row: Callable[..., Row]) -> None:
    found = row("mm-id", replace(PLAN, most=2))
    assert len(found.agreements["page-mapcount"].unexplained) == 2
    assert found.agreements["mm-id"].scenarios > found.agreements["page-mapcount"].scenarios


def test_a_kernel_that_is_lost_costs_its_row_and_keeps_what_it_had(row: Callable[..., Row]) -> None:
    found = row("mm-id", lives=15)
    assert "Kernel panic" in found.lost and 0 < found.agreements["mm-id"].scenarios < 15
    assert not found.agreements["mm-id"].complete
    shown = text([found, row("mm-id")])
    assert "(lost)" in shown and "✗ lost: kernel played has ended: QEMU was killed, after: Kernel panic" in shown
    assert "; lost: played (" in shown.splitlines()[-1]


def test_what_a_kernel_lacks_is_left_out_and_said(row: Callable[..., Row]) -> None:
    found = row("mm-id", lacks="pin")
    assert found.notes == ["without pin: kernel played refused pin: Function not implemented"]
    assert not found.agreements["mm-id"].failed


def test_orders_that_a_kernel_lacks_are_left_out() -> None:
    session = Played("mm-id")
    session.conditions = Conditions((0,), {2048: "/sys/9"})
    mix, notes = matrix.possible_mix(session, Mix(orders=(0, 2, 9)))
    lacks = ["no folios of order 2", "without pageout: there is no swap", "without migrate: there is one NUMA node"]
    assert mix.orders == (0, 9) and notes == lacks
    assert not mix.actions & {"pageout", "migrate"} and "thread" in mix.actions
    session.conditions = Conditions((0,), FILES, swap=True, nodes=(0, 1))
    mix, notes = matrix.possible_mix(session, Mix())
    assert {"pageout", "migrate"} <= mix.actions and not notes
    session.conditions = Conditions((0,), {})
    with pytest.raises(KernelError, match="kernel played has no large folios"):
        matrix.possible_mix(session, Mix())


# -- rows side by side ---------------------------------------------------------------------------------
def work(pipe: Any, image: Image, schemes: list[Scheme], plan: Plan) -> Row:
    """A row's work in the child process: one kernel kills its process, one has an error, one is good."""
    import os

    if image.name == "dies":
        os.kill(os.getpid(), 9)
    if image.name == "fails":
        raise KernelError("it does not boot")
    pipe.send((image.name, 3, 4))
    return Row(image.name, described="good")


def test_rows_are_made_side_by_side_and_one_that_dies_costs_itself(
    monkeypatch: pytest.MonkeyPatch, schemes: list[Scheme]
) -> None:
    monkeypatch.setattr(matrix, "qemu", SimpleNamespace)
    monkeypatch.setattr(matrix, "kvm_missing", lambda program: "")
    monkeypatch.setattr(matrix, "agent", lambda: b"")
    monkeypatch.setattr(matrix, "_work", work)
    told: list[tuple[str, int, int]] = []
    images = [Image(name, Path("x")) for name in ("dies", "good", "fails", "better")]

    def progress(*words: Any) -> None:
        told.append(words)

    found = {one.name: one for one in matrix.rows(images, schemes, PLAN, 2, progress)}
    assert found["good"].described == found["better"].described == "good"
    assert "killed from outside" in found["dies"].lost and found["fails"].lost == "it does not boot"
    assert sorted(told) == [("better", 3, 4), ("good", 3, 4)]


def test_without_a_compiler_no_process_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(matrix, "qemu", SimpleNamespace)
    monkeypatch.setattr(matrix, "kvm_missing", lambda program: "")
    monkeypatch.setattr(ccompiler, "COMPILERS", ("nobody",))
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path))
    with pytest.raises(KernelError, match="there is no C compiler to build the agent") as caught:
        next(iter(matrix.rows([Image("7.3", Path("x"))], [], PLAN)))
    assert "apt install gcc" in caught.value.hint


def test_situations_are_told_for_each_kernel(row: Callable[..., Row]) -> None:
    one = row("mm-id")
    assert "  steps that met" in text([one]) and "never met, " in text([one])
    both = text([one, row("page-mapcount")])
    assert "  steps that met" not in both
    assert both.count("· situations: ") == both.count("never met: ") == 2
    assert "fork: " in both and "by the fewest steps (" in text([one], identify=True)


def test_json(row: Callable[..., Row]) -> None:
    (made,) = kernelmatrix.data([row("mm-id")])["kernels"]
    assert made["behaves_like"] == ["mm-id"] and made["claims"] == ["mm-id"] and made["lost"] == ""
    assert [one["policy"] for one in made["policies"]] == ["page-mapcount", "mm-id", "no-page-mapcount"]
    assert made["policies"][1]["never_met"] and any(made["policies"][1]["situations"].values())
    assert made["policies"][0]["disagreements"] and not made["policies"][1]["disagreements"]

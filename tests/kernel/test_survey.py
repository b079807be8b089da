"""What kernels do in scenarios: played on kernels that the engine plays, kept as data, and shown as a table."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from foliolab.framework.errors import KernelError, ResultFileError
from foliolab.framework.kernel import survey
from foliolab.framework.kernel.agent.channel import Gone
from foliolab.framework.kernel.images.store import Image
from foliolab.framework.kernel.oracle import Conditions
from foliolab.framework.kernel.running import Running
from foliolab.framework.kernel.session import Session
from foliolab.framework.kernel.survey import Deeds
from foliolab.framework.plugins.registry import load
from foliolab.framework.report import kernelscenarios
from foliolab.framework.report.pages.plain_text import Plain
from foliolab.framework.scenario import parser
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.record import Record, View
from foliolab.framework.scenario.syntax import Scenario

NAMES = ("third-stays", "child-alive", "cow-basic-swapped", "pmd-child-exited", "child-exited-pin")


class Played(Session):
    """A kernel that behaves like a policy, has no folios of 2 MiB, and refuses pins."""

    name = "kernel played"
    kernel = Running("6.18.0", {"CONFIG_MM_ID": "y"})
    lives = 1 << 30

    def __init__(self, image: Image, nodes: int) -> None:
        super().__init__()
        self.scheme = load().policy(image.name)
        self.played = 0

    def _start(self, stack: object) -> None:
        self.conditions = Conditions((0,), {16: "/sys/16", 64: "/sys/64"})

    def run(self, scenario: Scenario) -> list[Record]:
        self.played += 1
        if self.played > self.lives:
            raise Gone("kernel played has ended: QEMU was killed")
        if any(step.action == "pin" for step in scenario.steps):
            raise KernelError(f"{self.name} refused io_uring: Function not implemented")
        records = Model(scenario, self.scheme).run()
        return [replace(record, causes=(), views=dict(map(seen, record.views.items()))) for record in records]


def seen(named: tuple[str, View]) -> tuple[str, View]:
    """What /proc shows of a process, without what only the engine knows."""
    name, view = named
    return name, View(view.frames, view.counts, view.exclusive, view.pmd, view.anon_exclusive)


@pytest.fixture(scope="module")
def scenarios() -> list[Scenario]:
    registry = load()
    return [parser.load(registry.scenario(name)) for name in NAMES]


def played(policy: str, scenarios: list[Scenario], monkeypatch: pytest.MonkeyPatch) -> Deeds:
    monkeypatch.setattr(survey, "Guest", Played)
    return survey.play(Image(policy, Path("vmlinuz")), scenarios, Deeds(policy, date="2026-11-30", command="test"))


def test_what_a_kernel_does_and_what_it_does_instead(
    scenarios: list[Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    same, other = (played(name, scenarios, monkeypatch) for name in ("mm-id", "exact"))
    assert same.described == "Linux 6.18.0 (CONFIG_MM_ID=y)" and same.lost == ""
    first = {made.name: made.deeds[0] for made in (same, other)}
    assert first["mm-id"].step == "" and set(first["mm-id"].answers) == {"copied"}
    assert (first["exact"].step, first["exact"].found, first["exact"].expected) == (
        "C: write heap[0]", "reused", "copied",
    )  # fmt: skip
    assert [one.missing for one in same.deeds] == [
        "", "", survey.NO_SWAP, "no folios of 2048 KiB", "refused io_uring: Function not implemented",
    ]  # fmt: skip
    stream = StringIO()
    kernelscenarios.render([same, other], Plain(stream))
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == ["scenario", "mm-id", "exact"] and lines[1].split() == [
        "third-stays",
        "✓",
        "✗",
        "reused",
    ]
    assert lines[3].split() == ["cow-basic-swapped", "–", "–"]
    assert "  ✗ third-stays: C: write heap[0]: reused, not copied" in lines
    average = played("no-page-mapcount", scenarios, monkeypatch).deeds[1]
    assert kernelscenarios.cell(average) == "✗ kpagecount 2"
    assert kernelscenarios.instead(average) == "A: write heap[0]: B heap[0] kpagecount 2, not 1"


def test_a_kernel_that_is_lost_keeps_what_it_played_and_replaces_nothing(
    scenarios: list[Scenario], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "kernels.json"
    path.write_text("damaged")
    survey.keep([played(name, scenarios, monkeypatch) for name in ("mm-id", "exact")], path)
    monkeypatch.setattr(Played, "lives", 1)
    lost = played("mm-id", scenarios, monkeypatch)
    assert len(lost.deeds) == 1 and "QEMU was killed" in lost.lost
    survey.keep([lost], path)
    assert {one.name: len(one.deeds) for one in survey.load(path)} == {"exact": 5, "mm-id": 5}
    good = path.read_text()
    for bad in ('"answers": [', '"answers": [3, '), ('"found"', '"finds"'), ('"date": "2026', '"date": 7, "x": "2'):
        path.write_text(good.replace(*bad, 1))
        with pytest.raises(ResultFileError, match=r"the outcomes .* are damaged"):
            survey.load(path)


def test_a_record_belongs_to_what_the_scenario_says() -> None:
    text = "scenario x\n| Words.\nregion heap: 1 x 16K\nA: fork B\nB: write heap -> copied\n"
    same, other = text.replace("Words", "Others").replace("fork B", "fork  B  # why"), text.replace("copied", "reused")
    digests = [survey.text_digest(parser.parse(one)) for one in (text, same, other)]
    assert digests[0] == digests[1] != digests[2]

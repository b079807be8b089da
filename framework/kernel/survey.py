"""What kernels do in scenarios: each kernel plays them in a guest, and its answers are kept as data.

The record of a kernel and a scenario has the answer of each step that has one (copied, reused, a byte that was read),
and the first expectation of the scenario's text that the kernel does not meet. It belongs to one text of the scenario.
Nothing of a kernel itself is in a record, only its release and options.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from foliolab.framework import intake
from foliolab.framework.errors import KernelError, ResultFileError
from foliolab.framework.kernel import needs
from foliolab.framework.kernel.agent.channel import Gone
from foliolab.framework.kernel.guest.machine import Guest
from foliolab.framework.kernel.images.store import Image, version_key
from foliolab.framework.kernel.matrix import side_by_side
from foliolab.framework.kernel.session import Session
from foliolab.framework.scenario.expectations import failures
from foliolab.framework.scenario.formatter import item_text, region_text
from foliolab.framework.scenario.syntax import Scenario

SCHEMA: Final = 1
NO_SWAP: Final = "the guest has no swap"
ONE_NODE: Final = "the guest has one NUMA node"


@dataclass(frozen=True)
class Deed:
    """What a kernel did in a scenario.

    Attributes:
        scenario: its name.
        text: the digest of its text (`text_digest`).
        answers: of the steps that have one, in order.
        step, found, expected: the first step at which the kernel does not do what the text expects, what it did, and
            what is expected; empty if it does all.
        missing: why the scenario was not played; else empty.
    """

    scenario: str
    text: str
    answers: tuple[str, ...] = ()
    step: str = ""
    found: str = ""
    expected: str = ""
    missing: str = ""


@dataclass
class Deeds:
    """What one kernel did in all scenarios.

    Attributes:
        name: by which the kernel was asked for.
        described: release and options, as it says itself.
        date, command: of the run.
        deeds: one a scenario.
        lost: why the kernel ended before all was played; else empty.
    """

    name: str
    described: str = ""
    date: str = ""
    command: str = ""
    deeds: list[Deed] = field(default_factory=list)
    lost: str = ""


Progress = Callable[[str, int, int], None]
"""Called with a kernel's name, the scenarios that it has played, and all."""


def text_digest(scenario: Scenario) -> str:
    """A digest of what a scenario does and expects; its description, comments and layout do not count."""
    text = "\n".join((scenario.policy, *map(region_text, scenario.regions), *map(item_text, scenario.items)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def deed(session: Session, scenario: Scenario) -> Deed:
    """Play a scenario.

    Raises:
        Gone: the kernel does not answer any more.
    """
    text = text_digest(scenario)
    if missing := lacks(session, scenario):
        return Deed(scenario.name, text, missing=missing)
    try:
        records = session.run(scenario)
    except Gone:
        raise
    except KernelError as fault:
        return Deed(scenario.name, text, missing=fault.what.removeprefix(f"{session.name} "))
    first = next(failures(scenario, records, {scenario.policy}), None)
    answers = tuple(record.text for record in records if record.text)
    if first is None:
        return Deed(scenario.name, text, answers)
    return Deed(scenario.name, text, answers, first.step, first.found, first.expected)


def lacks(session: Session, scenario: Scenario) -> str:
    """Why a guest cannot play a scenario; empty if nothing is known to be missing."""
    if not session.conditions.swap and needs.swaps(scenario):
        return NO_SWAP
    if len(session.conditions.nodes) < 2 and any(step.action == "migrate" for step in scenario.steps):
        return ONE_NODE
    sizes = session.conditions.switches or {}
    closed = next((one.size_kib for one in scenario.regions if one.order and one.size_kib not in sizes), 0)
    return f"no folios of {closed} KiB" if closed else ""


def play(image: Image, scenarios: Sequence[Scenario], made: Deeds, progress: Progress | None = None) -> Deeds:
    """Boot a kernel, and play scenarios. A kernel that is lost says so, and keeps what it has played.

    Args:
        made: is completed.
    """
    try:
        with Guest(image, nodes=2) as guest:
            made.described = guest.kernel.described
            for scenario in scenarios:
                made.deeds.append(deed(guest, scenario))
                if progress is not None:
                    progress(image.name, len(made.deeds), len(scenarios))
    except KernelError as fault:
        made.lost = fault.what
    except KeyboardInterrupt:
        made.lost = "it was interrupted"
    return made


def play_all(
    images: Sequence[Image], scenarios: Sequence[Scenario], command: str, progress: Progress | None = None
) -> Iterator[Deeds]:
    """What each kernel does, as they are completed.

    Args:
        command: that is written into the records.

    Raises:
        KernelError: there is no QEMU.
    """
    date = datetime.now(UTC).date().isoformat()

    def work(pipe: Connection, image: Image) -> Deeds:
        made = Deeds(image.name, date=date, command=command)
        return play(image, scenarios, made, lambda *words: pipe.send(words))

    def lost(name: str, why: str) -> Deeds:
        return Deeds(name, date=date, command=command, lost=why)

    return side_by_side(images, work, lost, progress=progress)


def keep(kernels: Sequence[Deeds], path: Path) -> None:
    """Write what kernels did into a file; what is in it of other kernels stays. A kernel that was lost is left out.

    Raises:
        ResultFileError: the file cannot be written.
    """
    from foliolab.framework.document import write_atomically

    old: list[Deeds] = []
    with suppress(ResultFileError):  # no such file yet, or a damaged one, which is replaced
        old = load(path)
    known = {one.name: one for one in (*old, *(one for one in kernels if not one.lost))}
    records = [asdict(known[name]) for name in sorted(known, key=version_key)]
    write_atomically(path, json.dumps({"schema": SCHEMA, "records": records}, indent=1).encode() + b"\n")


def load(path: str | os.PathLike[str]) -> list[Deeds]:
    """Read what kernels did.

    Raises:
        ResultFileError: the file does not exist, or does not hold that.
    """
    hint = "delete the file; `foliolab kernel scenarios --save` makes it anew"
    return intake.records(path, "outcomes", SCHEMA, _record, hint)


def _record(data: dict[str, Any]) -> Deeds:
    intake.check_keys(data, tuple(Deeds.__dataclass_fields__))
    deeds = []
    for one in data["deeds"]:
        intake.check_keys(one, tuple(Deed.__dataclass_fields__))
        deeds.append(Deed(**one | {"answers": tuple(one["answers"])}))
        words = {**one, "answers": ""}.values()
        if not all(isinstance(word, str) for word in (*words, *one["answers"])):
            raise TypeError("an answer is no text")
    texts = {key: value for key, value in data.items() if key != "deeds"}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("a name is no text")
    return Deeds(**texts, deeds=deeds)

"""What Verify shows, as a session keeps it: the choices, the verdicts, and the counterexample with its step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec

from foliolab.framework.document import Name, Number, Positive
from foliolab.framework.verify.counterexample import MemoryModel
from foliolab.gui.verify.options import MEMORIES
from foliolab.gui.window.session_file import Digest, Files, State

if TYPE_CHECKING:
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.gui.verify.attack_job import AttackJob
    from foliolab.gui.verify.options import Options
    from foliolab.gui.verify.shown_example import ShownExample


class VerifyState(State, frozen=True, kw_only=True):
    """The state.

    Attributes:
        policy, seconds, memory, attacks, model: see `Attempt`.
        tso: of sessions that were saved before there was a choice of models: whether it is tso.
        verdicts, example: digests of their files; empty for none.
        step: of the counterexample; -1 before the first.
        low, high: the steps of it that are shown; -1 and -1 for all.
    """

    policy: Name
    seconds: Positive
    memory: Name
    attacks: Annotated[tuple[Name, ...], msgspec.Meta(max_length=16)]
    model: MemoryModel = "sc"
    tso: bool = False
    verdicts: Digest = ""
    example: Digest = ""
    step: Number = -1
    low: Number = -1
    high: Number = -1

    def counterexample(self, files: Files) -> Counterexample:
        """The counterexample.

        Raises:
            FolioLabError: its file is not there, or is damaged.
        """
        from foliolab.framework.verify.counterexample import Counterexample

        return Counterexample.load(files.path(self.example))

    def choose(self, options: Options) -> None:
        """Set the choices of the panel."""
        options.choose(self.policy)
        options.limit(min(self.seconds, options.seconds.maximum()), self.attacks)
        sizes = {written: shown for shown, written in MEMORIES.items()}
        if self.memory in sizes:
            options.memory.setCurrentText(sizes[self.memory])
        options.model.setCurrentIndex(options.model.findData("tso" if self.tso else self.model))


class Shown(Protocol):
    """What is needed of the workspace; a protocol, because the workspace imports this module."""

    options: Options
    attacks: AttackJob
    shown_example: ShownExample


def state_of(workspace: Shown, files: Files) -> VerifyState:
    """What a session keeps of the workspace as it is now."""
    attempt, verdicts, example = workspace.options.attempt(), "", ""
    done, shown = workspace.attacks.done, workspace.shown_example
    if done is not None:
        from foliolab.framework.verify.verifier import Verdicts

        kept = Verdicts(verifications=[done], command=done.command)
        verdicts = files.keep("verdicts.json", kept.encoded())
    if shown.example is not None:
        example = files.keep("counterexample.json", shown.example.encoded())
    step = low = high = -1
    if shown.stepper is not None and example:
        step, part = shown.stepper.step, shown.stepper.diagram.part
        low, high = (-1, -1) if part.whole else (part.low, part.high)
    return VerifyState(
        policy=attempt.policy, seconds=attempt.seconds, memory=attempt.memory, attacks=attempt.attacks,
        model=attempt.model, verdicts=verdicts, example=example, step=step,
        low=low, high=high,
    )  # fmt: skip


def place_of(workspace: Shown) -> str:
    """The counterexample and its step, as the title of a bookmark; empty without one."""
    shown = workspace.shown_example
    if shown.example is None:
        return ""
    step = shown.stepper.step if shown.stepper is not None else -1
    return f"counterexample of {shown.example.policy}, law {shown.example.law}, step {step}"

"""The parts of a review: five paragraphs, each with the command that shows more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "bad", "doubtful", "unknown"]


@dataclass(frozen=True)
class Paragraph:
    """The answer to one question.

    Args:
        question: such as "Right".
        tone: bad: something is wrong; doubtful: something is undecided, imprecise or dearer; unknown: not measured.
        answer: in one sentence.
        sentences: the evidence.
        unknown: what was not measured, in one sentence; empty if all was.
        command: the command that shows more.
    """

    question: str
    tone: Tone
    answer: str
    sentences: tuple[str, ...]
    unknown: str
    command: str


@dataclass(frozen=True)
class Review:
    """The five answers about one policy.

    Args:
        policy: as the user writes it.
        summary: its own, in one line.
        digest: of its text with its parameters.
        baseline: the policy that stands beside it; empty if it stands alone.
    """

    policy: str
    summary: str
    digest: str
    baseline: str
    paragraphs: tuple[Paragraph, ...]

    @property
    def bad(self) -> bool:
        return any(one.tone == "bad" for one in self.paragraphs)

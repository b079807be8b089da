"""Litmus tests that nobody has thought of, in the words of `litmus_policy`: two processes, equal for an equal seed."""

from __future__ import annotations

import random
from typing import Final

ALWAYS: Final = (
    "{p}={v}",
    "{p}={v}",
    "{p}.={v}",
    "{r}={p}",
    "{r}={p}",
    "{r}=.{p}",
    "{p}++",
    "{r}=++{p}",
    "{r}=cas {p}",
)
BARRIERS: Final = ("mb", "rmb", "wmb")
DEPENDENT: Final = ("{r}={p}@{q}", "{r}={p}@{q}", "{r}=.{p}@{q}", "{p}={v}@{q}", "{p}.={v}@{q}", "if {q}")
MOST: Final = 4
"""Statements of a process, at most, barriers not counted."""


def process(choice: random.Random) -> str:
    """The text of a process. What depends on a register stands behind what loads it."""
    words: list[str] = []
    loaded: list[str] = []
    for _ in range(choice.randint(2, MOST)):
        if words and choice.random() < 0.4:
            words.append(choice.choice(BARRIERS))
        forms = (*ALWAYS, *DEPENDENT) if loaded else ALWAYS
        register = choice.choice(("r0", "r1"))
        made = choice.choice(forms).format(
            p=choice.choice("xyz" if choice.random() < 0.3 else "xy"), v=choice.choice((1, 2, 9)), r=register,
            q=choice.choice(loaded) if loaded else "",
        )  # fmt: skip
        words.append(made)
        if made.startswith("r"):
            loaded.append(register)
    if words[-1].startswith("if "):
        words.append("x=1")
    return "; ".join(words)


def programs(seed: int, count: int) -> list[str]:
    """That many tests."""
    choice = random.Random(seed)
    return [f"{process(choice)} | {process(choice)}" for _ in range(count)]

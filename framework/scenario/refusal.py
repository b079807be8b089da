"""The refusal of a step that is not possible."""

from __future__ import annotations


class Refused(Exception):
    """A step is not possible.

    Args:
        operand: the word that is wrong: process, action, name, pages, to or answer.
        what: what is wrong, as a sentence.
        hint: what to do.
    """

    def __init__(self, operand: str, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.operand = operand
        self.what = what
        self.hint = hint

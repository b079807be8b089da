"""The explored attack on a policy's compiled C text."""

from __future__ import annotations

from foliolab.framework.verify.explored.attack import Explored
from foliolab.framework.verify.explored.coverage import Coverage


class CompiledExplored(Explored):
    """Explores the interleavings of the compiled code; see `compiled_text`.

    What it finds cannot be replayed by the interpreted engine, which runs the translation: it is told as it was found.

    Attributes:
        broken: each violation, with the operations of the threads.
    """

    compiled = True

    def __init__(self) -> None:
        super().__init__()
        self.broken: list[str] = []

    def ended(self, coverage: Coverage) -> None:
        self.broken = [one.message for one in coverage.unconfirmed]
